//! How all replicas together use a server. Pure.

use std::collections::BTreeSet;

use crate::{
    fleet::{ServerName, ServerUse},
    operator::peers::Answers,
};

/// What each other replica says of a server: nothing of one that did not answer or has not heard of the server yet.
pub(super) fn of_others(answers: &Answers, server: &ServerName) -> Vec<Option<ServerUse>> {
    answers.iter().map(|answer| answer.as_ref()?.get(server).copied()).collect()
}

/// Whoever says nothing may use it, and is no reason to wake it.
pub(super) fn together(own: ServerUse, others: &[Option<ServerUse>]) -> ServerUse {
    others.iter().fold(own, |all, other| match other {
        None => ServerUse { idle_for: None, ..all },
        Some(ServerUse { idle_for, is_waited_for, is_known }) => ServerUse {
            idle_for: all.idle_for.zip(*idle_for).map(|(one, other)| one.min(other)),
            is_waited_for: all.is_waited_for || *is_waited_for,
            is_known: all.is_known && *is_known,
        },
    })
}

/// Those of the servers at rest that another replica needs: calls wait there, or it has not read the tools yet.
pub(super) fn wanted_by_others(resting: &BTreeSet<ServerName>, answers: &Answers) -> Vec<ServerName> {
    let is_wanted = |server: &&ServerName| {
        of_others(answers, server).iter().flatten().any(|other| other.is_waited_for || !other.is_known)
    };
    resting.iter().filter(is_wanted).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        sync::Arc,
        time::Duration,
    };

    use super::{of_others, together, wanted_by_others};
    use crate::{
        fleet::{ServerName, ServerUse},
        operator::peers::Answers,
    };

    fn idle(seconds: u64) -> ServerUse {
        ServerUse { idle_for: Some(Duration::from_secs(seconds)), is_waited_for: false, is_known: true }
    }

    fn used() -> ServerUse {
        ServerUse { idle_for: None, ..idle(0) }
    }

    fn waited_for() -> ServerUse {
        ServerUse { is_waited_for: true, ..used() }
    }

    fn unknown() -> ServerUse {
        ServerUse { is_known: false, ..idle(60) }
    }

    fn name(name: &str) -> ServerName {
        ServerName { namespace: "n".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn it_is_idle_only_as_long_as_in_every_replica() {
        assert_eq!(together(idle(60), &[]), idle(60));
        assert_eq!(together(idle(60), &[Some(idle(7)), Some(idle(90))]), idle(7));
        assert_eq!(together(idle(60), &[Some(idle(90)), Some(used())]), used());
        assert_eq!(together(used(), &[Some(idle(90))]), used());
    }

    #[test]
    fn who_does_not_answer_may_use_it_but_wakes_nobody() {
        let all = together(idle(60), &[None, Some(idle(90))]);
        assert_eq!(all, used());
        assert!(!all.is_waited_for && all.is_known);
    }

    #[test]
    fn it_is_waited_for_wherever_a_call_waits_and_known_only_everywhere() {
        assert!(together(idle(60), &[Some(waited_for()), Some(idle(1))]).is_waited_for);
        assert!(!together(idle(60), &[Some(unknown()), Some(idle(1))]).is_known);
    }

    #[test]
    fn those_at_rest_that_another_replica_needs_are_told() {
        let says = |of: &[(&str, ServerUse)]| -> BTreeMap<ServerName, ServerUse> {
            of.iter().map(|(server, usage)| (name(server), *usage)).collect()
        };
        let first = says(&[("a", idle(9)), ("b", idle(9)), ("c", idle(9)), ("awake", waited_for())]);
        let second = says(&[("a", idle(9)), ("b", waited_for()), ("c", unknown())]);
        let answers: Answers = Arc::new([Some(first), None, Some(second)]);
        let resting = BTreeSet::from(["a", "b", "c", "unheard"].map(name));
        assert_eq!(wanted_by_others(&resting, &answers), ["b", "c"].map(name));
        assert_eq!(of_others(&answers, &name("unheard")), [None; 3]);
    }
}
