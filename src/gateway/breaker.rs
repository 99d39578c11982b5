//! When calls to a server are not even tried: it has failed several times running. Pure but for its lock: time comes
//! from outside.
//!
//! After [`FAILURES`] failures in a row nobody calls it for a while; then one call goes through as a probe. When the
//! probe is answered all is as before, otherwise the next pause is twice as long.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::downstream::ServerName;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 5;
/// The first pause, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How the calls of one server have gone lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Circuit {
    Closed,
    /// The last call failed, for this reason; calls still go through.
    Degraded {
        reason: String,
    },
    /// It failed several times running, the last time for this reason: calls are refused until a probe is answered.
    Open {
        reason: String,
    },
}

/// Of the MCPServers behind one downstream; those of which nothing is to be said are not in it.
#[derive(Debug, Default)]
pub(super) struct Breakers(Mutex<BTreeMap<ServerName, Breaker>>);

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    /// Pauses since the last answer.
    pauses: u32,
    state: State,
    reason: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// One call finds out.
    Probing,
}

/// The leave to call a server once. Dropped without a word, it says nothing about the server.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breakers: &'a Breakers,
    server: ServerName,
    probes: bool,
}

impl Breakers {
    /// Whether a call may go there now.
    pub(super) fn admits(&self, server: &ServerName, now: Instant) -> bool {
        self.with(|all| all.get(server).is_none_or(|breaker| breaker.admits(now)))
    }

    /// Nothing when no call may go there now.
    pub(super) fn enter(&self, server: &ServerName, now: Instant) -> Option<Leave<'_>> {
        let probes = self.with(|all| match all.get_mut(server) {
            None => Some(false),
            Some(breaker) => breaker.enter(now),
        })?;
        Some(Leave { breakers: self, server: server.clone(), probes })
    }

    /// Forgets all others.
    pub(super) fn keep(&self, servers: &BTreeSet<ServerName>) {
        self.with(|all| all.retain(|server, _| servers.contains(server)));
    }

    /// It gave no answer.
    pub(super) fn failed(&self, server: &ServerName, reason: &str, now: Instant) {
        self.with(|all| all.entry(server.clone()).or_default().failed(reason, now));
    }

    /// A new connection to it was opened: what was wrong may be over, and the next call finds out.
    pub(super) fn renewed(&self, server: &ServerName, now: Instant) {
        self.with(|all| {
            if let Some(breaker) = all.get_mut(server)
                && matches!(breaker.state, State::Open { .. })
            {
                breaker.state = State::Open { until: now };
            }
        });
    }

    /// The worst of all, with the reason.
    pub(super) fn circuit(&self) -> Circuit {
        self.with(|all| {
            let open = all.values().find(|breaker| breaker.state != State::Closed);
            match (open, all.values().next()) {
                (Some(Breaker { reason, .. }), _) => Circuit::Open { reason: reason.clone() },
                (None, Some(Breaker { reason, .. })) => Circuit::Degraded { reason: reason.clone() },
                (None, None) => Circuit::Closed,
            }
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<ServerName, Breaker>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Leave<'_> {
    /// It gave an answer, of whatever kind.
    pub(super) fn answered(mut self) {
        self.probes = false;
        self.breakers.with(|all| all.remove(&self.server));
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.probes {
            // Whoever comes next finds out.
            self.breakers.with(|all| {
                if let Some(breaker) = all.get_mut(&self.server)
                    && breaker.state == State::Probing
                {
                    breaker.state = State::Open { until: Instant::now() };
                }
            });
        }
    }
}

impl Breaker {
    fn admits(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => until <= now,
            State::Probing => false,
        }
    }

    /// Whether this call is a probe; nothing when it may not go.
    fn enter(&mut self, now: Instant) -> Option<bool> {
        if !self.admits(now) {
            return None;
        }
        let probes = self.state != State::Closed;
        if probes {
            self.state = State::Probing;
        }
        Some(probes)
    }

    fn failed(&mut self, reason: &str, now: Instant) {
        reason.clone_into(&mut self.reason);
        self.failures = self.failures.saturating_add(1);
        // Calls that were under way when it opened say nothing new.
        let opens = match self.state {
            State::Closed => self.failures >= FAILURES,
            State::Probing => true,
            // A probe that was given up, since it took too long.
            State::Open { until } => until <= now,
        };
        if opens {
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.pauses)).min(LONGEST_PAUSE);
            self.pauses = self.pauses.saturating_add(1);
            self.state = State::Open { until: now + pause };
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use super::{Breakers, Circuit, FAILURES};
    use crate::gateway::ServerName;

    fn server() -> ServerName {
        ServerName { namespace: "shop".to_owned(), name: "a".to_owned() }
    }

    fn broken(now: Instant) -> Breakers {
        let breakers = Breakers::default();
        for _ in 0..FAILURES {
            assert!(breakers.admits(&server(), now));
            breakers.failed(&server(), "it hangs", now);
        }
        breakers
    }

    #[test]
    fn several_failures_in_a_row_open_it_and_an_answer_in_between_does_not_count_as_one() {
        let now = Instant::now();
        let breakers = Breakers::default();
        for _ in 0..3 * FAILURES {
            breakers.failed(&server(), "it hangs", now);
            assert_eq!(breakers.circuit(), Circuit::Degraded { reason: "it hangs".to_owned() });
            breakers.enter(&server(), now).unwrap().answered();
            assert_eq!(breakers.circuit(), Circuit::Closed);
        }
        let breakers = broken(now);
        assert_eq!(breakers.circuit(), Circuit::Open { reason: "it hangs".to_owned() });
        assert!(breakers.enter(&server(), now).is_none());
    }

    #[test]
    fn after_a_pause_one_call_finds_out() {
        let now = Instant::now();
        let breakers = broken(now);
        let later = now + Duration::from_secs(1);
        let probe = breakers.enter(&server(), later).unwrap();
        assert!(breakers.enter(&server(), later).is_none(), "one alone");
        probe.answered();
        assert!(breakers.enter(&server(), later).is_some());
        assert_eq!(breakers.circuit(), Circuit::Closed);
    }

    #[test]
    fn a_probe_that_fails_doubles_the_pause_and_one_that_is_given_up_does_not() {
        let now = Instant::now();
        let breakers = broken(now);
        let later = now + Duration::from_secs(1);
        let probe = breakers.enter(&server(), later).unwrap();
        breakers.failed(&server(), "it hangs", later);
        drop(probe);
        assert!(!breakers.admits(&server(), later + Duration::from_secs(1)));
        let later = later + Duration::from_secs(2);
        let given_up = breakers.enter(&server(), later).unwrap();
        drop(given_up);
        breakers.failed(&server(), "it took too long", Instant::now() + Duration::from_secs(3600));
        assert!(!breakers.admits(&server(), later));
        let later = later + Duration::from_secs(7200);
        drop(breakers.enter(&server(), later).unwrap());
        assert!(breakers.admits(&server(), later));
    }

    #[test]
    fn a_new_connection_is_tried_at_once() {
        let now = Instant::now();
        let breakers = broken(now);
        breakers.renewed(&server(), now);
        assert!(breakers.enter(&server(), now).is_some());
        assert!(breakers.enter(&server(), now).is_none());
    }
}
