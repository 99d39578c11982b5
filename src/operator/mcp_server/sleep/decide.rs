//! Whether a server that may sleep does. Pure.

use std::time::Duration;

use crate::fleet::ServerUse;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It has its pods, and is looked at again after that time, or when something changes.
    Runs { again: Option<Duration> },
    /// It has none.
    Sleeps,
}

/// `declared` are the pods it should have, `live` those its Deployment asks for, if there is one.
pub(super) fn decide(declared: i32, live: Option<i32>, idle_after: Duration, usage: ServerUse) -> Decision {
    let ServerUse { idle_for, is_waited_for, is_known } = usage;
    let runs = Decision::Runs { again: Some(idle_after) };
    match live {
        // Somebody stopped it, or it is just being made.
        _ if declared == 0 => Decision::Runs { again: None },
        None => runs,
        Some(_) if is_waited_for || !is_known => runs,
        Some(0) => Decision::Sleeps,
        Some(_) => match idle_for {
            Some(idle) if idle >= idle_after => Decision::Sleeps,
            Some(idle) => Decision::Runs { again: Some(idle_after - idle) },
            None => runs,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Decision, decide};
    use crate::fleet::ServerUse;

    const AFTER: Duration = Duration::from_secs(60);

    fn idle(seconds: u64) -> ServerUse {
        ServerUse { idle_for: Some(Duration::from_secs(seconds)), is_waited_for: false, is_known: true }
    }

    fn runs(seconds: u64) -> Decision {
        Decision::Runs { again: Some(Duration::from_secs(seconds)) }
    }

    #[test]
    fn it_sleeps_when_nobody_has_used_it_for_long_enough() {
        assert_eq!(decide(2, Some(2), AFTER, idle(59)), runs(1));
        assert_eq!(decide(2, Some(2), AFTER, idle(60)), Decision::Sleeps);
        assert_eq!(decide(2, Some(0), AFTER, idle(5)), Decision::Sleeps, "it goes on sleeping");
        let in_use = ServerUse { idle_for: None, ..idle(0) };
        assert_eq!(decide(2, Some(2), AFTER, in_use), runs(60));
    }

    #[test]
    fn who_waits_wakes_it() {
        let waited_for = ServerUse { is_waited_for: true, idle_for: None, ..idle(0) };
        assert_eq!(decide(1, Some(0), AFTER, waited_for), runs(60));
        assert_eq!(decide(1, Some(1), AFTER, waited_for), runs(60));
    }

    #[test]
    fn one_whose_tools_nobody_knows_runs_until_they_are_read() {
        let unknown = ServerUse { is_known: false, ..idle(600) };
        assert_eq!(decide(1, Some(0), AFTER, unknown), runs(60));
        assert_eq!(decide(1, Some(1), AFTER, unknown), runs(60));
        assert_eq!(decide(1, None, AFTER, idle(600)), runs(60), "it is just being made");
    }

    #[test]
    fn a_server_that_somebody_stopped_is_not_woken() {
        let waited_for = ServerUse { is_waited_for: true, idle_for: None, ..idle(0) };
        assert_eq!(decide(0, Some(0), AFTER, waited_for), Decision::Runs { again: None });
    }

    #[test]
    fn it_is_looked_at_again_just_when_it_may_sleep() {
        let mut passed = Duration::from_secs(20);
        let usage = |passed| ServerUse { idle_for: Some(passed), is_waited_for: false, is_known: true };
        let Decision::Runs { again: Some(again) } = decide(1, Some(1), AFTER, usage(passed)) else {
            panic!()
        };
        passed += again;
        assert_eq!(decide(1, Some(1), AFTER, usage(passed)), Decision::Sleeps);
    }
}
