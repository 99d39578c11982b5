//! When an object is looked at again that nobody touched. Plain values: the time comes in as an argument.

use std::{collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

/// Why it is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody wrote meanwhile; our own view is up to date in a moment.
    Conflict,
    /// The API server does not answer. It answers all objects again at once, so the wait stays short.
    Unanswered,
    /// The API server refuses a child, such as for a quota that may be raised.
    Refused,
    /// Garbage collection has to come by.
    Deleting,
    /// Pods are starting. What a probe of theirs found is told by events, which wake nobody.
    Starting,
    /// A kind that the cluster does not have may be installed.
    KindMissing,
    /// Credentials of other namespaces may have changed, which no watch shows.
    Copied,
    /// A secret was asked of its store anew; whether another value came of it is told by an event in a moment.
    Refreshed,
}

impl Cause {
    /// The first wait, and the longest.
    fn bounds(self) -> (Duration, Duration) {
        match self {
            Self::Conflict => (Duration::from_millis(50), Duration::from_secs(5)),
            Self::Unanswered => (Duration::from_secs(1), Duration::from_secs(30)),
            Self::Refused => (Duration::from_secs(30), Duration::from_secs(300)),
            Self::Deleting => (Duration::from_secs(1), Duration::from_secs(30)),
            Self::KindMissing => (Duration::from_secs(20), Duration::from_secs(60)),
            Self::Copied => (Duration::from_secs(60), Duration::from_secs(60)),
            Self::Refreshed => (Duration::from_secs(3), Duration::from_secs(10)),
            Self::Starting => (Duration::from_secs(10), Duration::from_secs(300)),
        }
    }

    /// How long to wait after so many waits for the same cause. The first conflict is tried again at once.
    fn delay(self, before: u32) -> Duration {
        let (first, longest) = self.bounds();
        let doubled = match (self, before) {
            (Self::Conflict, 0) => return Duration::ZERO,
            (Self::Conflict, _) => before - 1,
            _ => before,
        };
        first.saturating_mul(2_u32.saturating_pow(doubled)).min(longest)
    }
}

/// The objects that are waited for, each with its cause.
#[derive(Debug)]
pub(super) struct Backoff<K>(HashMap<K, Wait>);

#[derive(Clone, Copy, Debug)]
struct Wait {
    cause: Cause,
    before: u32,
    due: Instant,
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Backoff<K> {
    /// How long from now. An object that was woken before its time keeps the time it has.
    pub(super) fn apply(&mut self, key: K, cause: Cause, now: Instant) -> Duration {
        let before = match self.0.get(&key) {
            Some(wait) if wait.cause == cause && now < wait.due => return wait.due - now,
            Some(wait) if wait.cause == cause => wait.before.saturating_add(1),
            _ => 0,
        };
        let delay = cause.delay(before);
        self.0.insert(key, Wait { cause, before, due: now + delay });
        delay
    }

    /// It is as it should be, or gone.
    pub(super) fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Backoff, Cause};

    /// The waits of an object that is looked at again exactly when it is due, in milliseconds.
    fn waits(cause: Cause, count: usize) -> Vec<u128> {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        let mut next = || {
            let wait = backoff.apply("demo", cause, now);
            now += wait;
            wait.as_millis()
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn waits_grow_to_minutes() {
        let starting = waits(Cause::Starting, 7);
        assert_eq!(starting, [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
        assert_eq!(waits(Cause::Refused, 5), [30_000, 60_000, 120_000, 240_000, 300_000]);
        assert_eq!(waits(Cause::Unanswered, 6), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
        assert_eq!(waits(Cause::Starting, 100)[99], 300_000, "it does not overflow");
    }

    #[test]
    fn a_conflict_is_tried_again_at_once() {
        assert_eq!(waits(Cause::Conflict, 4), [0, 50, 100, 200]);
    }

    #[test]
    fn being_woken_early_does_not_lengthen_the_wait() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        backoff.apply("demo", Cause::Starting, start);
        for seconds in 1..9 {
            let wait = backoff.apply("demo", Cause::Starting, start + Duration::from_secs(seconds));
            assert_eq!(wait, Duration::from_secs(10 - seconds));
        }
    }

    #[test]
    fn another_cause_or_a_success_begins_anew() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        let due = start + backoff.apply("demo", Cause::Refused, start);
        assert_eq!(backoff.apply("demo", Cause::Starting, due), Duration::from_secs(10));
        assert_eq!(backoff.apply("demo", Cause::Refused, due), Duration::from_secs(30));
        backoff.forget(&"demo");
        assert_eq!(backoff.apply("demo", Cause::Refused, due), Duration::from_secs(30));
        assert_eq!(backoff.apply("other", Cause::Refused, due), Duration::from_secs(30), "each has its own");
    }
}
