//! The phase that a check leads to, and when to check again. Needs no client and reads no clock.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    time::Duration,
};

use super::outcome::Outcome;
use crate::api::data_source::DataSourcePhase;

/// So many checks in a row may find nobody before a source that has answered counts as failed.
const PATIENCE: u32 = 3;

/// The first wait after a check that did not get in.
const FIRST_RETRY: Duration = Duration::from_secs(30);

/// What is remembered of a source between checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Course {
    pub phase: Option<DataSourcePhase>,
    /// Checks in a row that did not get in.
    pub failures: u32,
}

impl Course {
    /// As the next leader takes it up. What has failed before needs no more patience.
    pub(crate) fn resumed(phase: Option<DataSourcePhase>) -> Self {
        let failures = match phase {
            Some(DataSourcePhase::Failed) => PATIENCE,
            Some(DataSourcePhase::Degraded) => 1,
            Some(DataSourcePhase::Connected | DataSourcePhase::Pending) | None => 0,
        };
        Self { phase, failures }
    }

    /// Nothing was found of it yet.
    pub(crate) fn is_at_the_beginning(self) -> bool {
        matches!(self.phase, None | Some(DataSourcePhase::Pending))
    }

    /// It cannot be checked yet, and that is nobody's fault.
    pub(crate) fn waiting(self) -> Self {
        Self { phase: Some(DataSourcePhase::Pending), failures: self.failures.saturating_add(1) }
    }

    /// | outcome | phase |
    /// |---|---|
    /// | in | Connected |
    /// | answers in part, slowly, or the credentials could not be tried | Degraded |
    /// | refused: credentials, database, certificate | Failed |
    /// | nobody answers, after Connected or Degraded, fewer than three times in a row | Degraded |
    /// | nobody answers otherwise | Failed |
    pub(crate) fn after(self, outcome: &Outcome) -> Self {
        let failures = self.failures.saturating_add(1);
        match outcome {
            Outcome::In(_) => Self { phase: Some(DataSourcePhase::Connected), failures: 0 },
            // It is there: patience begins anew when it goes away.
            Outcome::Partly(_) => Self { phase: Some(DataSourcePhase::Degraded), failures: 0 },
            Outcome::Refused(_) => Self { phase: Some(DataSourcePhase::Failed), failures },
            Outcome::Away(_) => {
                let answered =
                    matches!(self.phase, Some(DataSourcePhase::Connected | DataSourcePhase::Degraded));
                let phase = if answered && failures < PATIENCE {
                    DataSourcePhase::Degraded
                } else {
                    DataSourcePhase::Failed
                };
                Self { phase: Some(phase), failures }
            }
        }
    }

    /// When to check again: at the interval, or, while it does not get in, after 30 s, a minute, two and so on up
    /// to the interval. `seed` spreads sources of one interval over a tenth of it.
    pub(crate) fn next(self, interval: Duration, seed: &impl Hash) -> Duration {
        let wait = match self.failures {
            0 => interval,
            failures => FIRST_RETRY.saturating_mul(1 << (failures - 1).min(16)).min(interval),
        };
        wait - wait.mul_f64(fraction(seed) / 10.0)
    }
}

/// From 0 to 1, the same for the same seed.
fn fraction(seed: &impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Course;
    use crate::{
        api::data_source::DataSourcePhase::{self, Connected, Degraded, Failed},
        operator::data_source::outcome::{Outcome, Reason},
    };

    fn away() -> Outcome {
        Outcome::away(Reason::NotReachable, "")
    }

    fn phases(outcomes: &[Outcome]) -> Vec<DataSourcePhase> {
        let mut course = Course::default();
        let mut phases = Vec::new();
        for outcome in outcomes {
            course = course.after(outcome);
            phases.extend(course.phase);
        }
        phases
    }

    #[test]
    fn what_never_answered_has_failed_at_once() {
        assert_eq!(phases(&[away(), away()]), [Failed, Failed]);
    }

    #[test]
    fn what_answered_is_degraded_twice_before_it_has_failed() {
        let here = || Outcome::In(String::new());
        let story = [here(), away(), away(), away(), here(), away()];
        assert_eq!(phases(&story), [Connected, Degraded, Degraded, Failed, Connected, Degraded]);
    }

    #[test]
    fn what_answers_in_part_is_degraded_and_a_refusal_fails_at_once() {
        let partly = || Outcome::partly(Reason::Slow, "");
        let no = || Outcome::refused(Reason::CredentialsRefused, "");
        let story = [partly(), away(), partly(), away(), no(), away(), partly()];
        assert_eq!(phases(&story), [Degraded, Degraded, Degraded, Degraded, Failed, Failed, Degraded]);
    }

    #[test]
    fn the_next_leader_goes_on_where_the_last_one_was() {
        assert_eq!(Course::resumed(Some(Failed)).after(&away()).phase, Some(Failed));
        assert_eq!(Course::resumed(Some(Connected)).after(&away()).phase, Some(Degraded));
        assert_eq!(Course::resumed(None).after(&away()).phase, Some(Failed));
    }

    #[test]
    fn retries_grow_up_to_the_interval_and_are_spread() {
        let interval = Duration::from_secs(300);
        let waits: Vec<u64> = (0..6)
            .map(|failures| Course { phase: None, failures }.next(interval, &"one").as_secs())
            .collect();
        for (wait, most) in waits.iter().zip([300, 30, 60, 120, 240, 300]) {
            assert!((most * 9 / 10..=most).contains(wait), "{waits:?}");
        }
        let course = Course { phase: None, failures: 0 };
        assert_ne!(course.next(interval, &"one"), course.next(interval, &"two"));
        assert!(
            Course { phase: None, failures: 9 }.next(Duration::from_secs(10), &1) <= Duration::from_secs(10)
        );
    }
}
