//! When a request is looked at again: soon while it is new, seldom when it is old, later the more often it failed.
//! Plain values: the time comes in as an argument.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// Never seldomer than this.
const LONGEST: Duration = Duration::from_secs(900);

/// The requests that are followed, each with its next look.
#[derive(Debug)]
pub(super) struct Agenda {
    every: Duration,
    looks: BTreeMap<String, Look>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    due: Instant,
    failures: u32,
    /// Since when nothing has happened.
    quiet: Instant,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Changed,
    Same,
    Failed,
}

impl Agenda {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, looks: BTreeMap::new() }
    }

    /// One that is not known yet is due at once.
    pub(super) fn is_due(&self, id: &str, now: Instant) -> bool {
        self.looks.get(id).is_none_or(|look| look.due <= now)
    }

    pub(super) fn apply(&mut self, id: &str, came: Came, now: Instant) {
        let known = self.looks.get(id).copied().unwrap_or(Look { due: now, failures: 0, quiet: now });
        let failures = if came == Came::Failed { known.failures.saturating_add(1) } else { 0 };
        let quiet = if came == Came::Changed { now } else { known.quiet };
        let wait = wait(self.every, now - quiet, failures, salt(id));
        self.looks.insert(id.to_owned(), Look { due: now + wait, failures, quiet });
    }

    /// Those that are not followed any more.
    pub(super) fn keep(&mut self, is_followed: impl Fn(&str) -> bool) {
        self.looks.retain(|id, _| is_followed(id));
    }
}

/// A tenth of its quiet time, within bounds; a fifth more or less, so that many do not come together.
fn wait(every: Duration, quiet: Duration, failures: u32, salt: u32) -> Duration {
    let base = if failures > 0 {
        every.saturating_mul(2_u32.saturating_pow(failures.min(16)))
    } else {
        every.max(quiet / 10)
    };
    let base = base.min(LONGEST.max(every));
    base.mul_f64(0.8 + f64::from(salt % 400) / 1000.0)
}

/// The same for the same id.
fn salt(id: &str) -> u32 {
    id.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Agenda, Came, wait};

    const EVERY: Duration = Duration::from_secs(30);

    #[test]
    fn the_quieter_it_is_the_seldomer_it_is_asked() {
        let seconds = |quiet: u64, failures| wait(EVERY, Duration::from_secs(quiet), failures, 200).as_secs();
        assert_eq!([seconds(0, 0), seconds(600, 0), seconds(86_400, 0)], [30, 60, 900]);
        assert_eq!([seconds(0, 1), seconds(0, 3), seconds(0, 60)], [60, 240, 900]);
        assert_eq!(wait(EVERY, Duration::ZERO, 0, 0), Duration::from_secs(24));
        assert_eq!(wait(EVERY, Duration::ZERO, 0, 399).as_secs(), 35);
    }

    #[test]
    fn what_is_new_is_due_and_what_was_looked_at_waits() {
        let mut agenda = Agenda::new(EVERY);
        let now = Instant::now();
        assert!(agenda.is_due("a", now));
        agenda.apply("a", Came::Same, now);
        assert!(!agenda.is_due("a", now + Duration::from_secs(20)));
        assert!(agenda.is_due("a", now + Duration::from_secs(37)));
        agenda.apply("a", Came::Failed, now);
        assert!(!agenda.is_due("a", now + Duration::from_secs(45)));
        agenda.keep(|_| false);
        assert!(agenda.is_due("a", now));
    }
}
