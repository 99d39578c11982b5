//! `scaleToZero`: a server that nobody uses has no pods, and has them again for the first who calls.
//!
//! Whether it sleeps is seen by its Deployment: nothing else must be remembered, and a new leader goes on from there.
//! Before the pods go our own connections to them are closed, and calls wait from then on, so none is sent to a pod
//! that is on its way out. A process that does not know the tools of a server that sleeps wakes it once to read them.
//!
//! The other replicas are asked before a server is put to rest, and every second while one rests. One that does not
//! answer may have callers: while it is silent no server is put to rest. In the followers the endpoints of a server
//! that is put to rest vanish; there it is asleep too, and calls wait until there are pods again.

mod alarms;
mod decide;
mod together;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::{
    api::{MCPServer, mcp_server::ScaleToZero},
    fleet::{ServerName, Serving},
    operator::peers::{Replicas, SILENCE},
};
use alarms::Alarms;
use decide::{Decision, decide};
use together::{of_others, together, wanted_by_others};

/// How exactly the time is kept, and how often the other replicas are asked while a server rests.
const TICK: Duration = Duration::from_secs(1);

/// The servers that may sleep, for one term as leader.
pub(super) struct Sleepers {
    serving: Serving,
    replicas: Replicas,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    alarms: Alarms,
    /// Those that we have put to rest.
    resting: BTreeSet<ServerName>,
}

impl Sleepers {
    pub(super) fn new(serving: Serving, replicas: Replicas) -> Self {
        Self { serving, replicas, state: Mutex::default() }
    }

    /// Whether the server should have no pods now. `live` is what its Deployment has, if there is one.
    pub(super) async fn sleeps(&self, server: &MCPServer, name: &ServerName, live: Option<i32>) -> bool {
        let Some(ScaleToZero { idle_after, wake_timeout: _ }) = &server.spec.scale_to_zero else {
            self.runs(name, None);
            return false;
        };
        let idle_after = idle_after.duration();
        let decided = |usage| decide(server.spec.replicas, live, idle_after, usage);
        let again = match decided(self.serving.usage(name)) {
            Decision::Runs { again } => again,
            Decision::Sleeps => {
                let others = of_others(&self.replicas.ask().await, name);
                // Asking took a moment: our own use is looked at again.
                match decided(together(self.serving.usage(name), &others)) {
                    Decision::Runs { again } if others.contains(&None) => {
                        again.map(|again| again.min(SILENCE))
                    }
                    Decision::Runs { again } => again,
                    Decision::Sleeps if self.rests(name) => return true,
                    // Its pods are gone already: a call that may still go to another member of a pool is no reason
                    // to have them again. One that waits for this server is.
                    Decision::Sleeps if live == Some(0) => {
                        self.state().alarms.set(name, Some(Instant::now() + TICK));
                        return true;
                    }
                    // Somebody came in between.
                    Decision::Sleeps => Some(idle_after),
                }
            }
        };
        self.runs(name, again);
        false
    }

    pub(super) fn forget(&self, name: &ServerName) {
        self.runs(name, None);
    }

    /// The servers of one namespace, or of all, to be looked at: somebody waits for them, in whichever replica (those
    /// of other namespaces are among them), or they may have been idle for long enough.
    pub(super) fn due(
        self: &Arc<Self>,
        namespace: Option<String>,
    ) -> impl Stream<Item = ServerName> + Send + 'static {
        stream::select(self.due_here(namespace), self.wanted_elsewhere())
    }

    /// Apart from the rest, since a replica that does not answer takes its time.
    fn wanted_elsewhere(self: &Arc<Self>) -> impl Stream<Item = ServerName> + Send + 'static {
        stream::unfold((self.clone(), ticks()), async |(sleepers, mut ticks)| {
            ticks.tick().await;
            let resting = sleepers.state().resting.clone();
            let names = if resting.is_empty() {
                Vec::new()
            } else {
                wanted_by_others(&resting, &sleepers.replicas.ask().await)
            };
            Some((stream::iter(names), (sleepers, ticks)))
        })
        .flatten()
    }

    fn due_here(
        self: &Arc<Self>,
        namespace: Option<String>,
    ) -> impl Stream<Item = ServerName> + Send + 'static {
        let state = (self.clone(), ticks(), self.serving.waited_for());
        stream::unfold(state, move |(sleepers, mut ticks, mut waited_for)| {
            let namespace = namespace.clone();
            async move {
                let names: Vec<ServerName> = tokio::select! {
                    changed = waited_for.changed() => {
                        changed.ok()?;
                        waited_for.borrow_and_update().iter().cloned().collect()
                    }
                    _ = ticks.tick() => {
                        sleepers.state().alarms.take_due(Instant::now(), namespace.as_deref())
                    }
                };
                Some((stream::iter(names), (sleepers, ticks, waited_for)))
            }
        })
        .flatten()
    }

    fn rests(&self, name: &ServerName) -> bool {
        let rests = self.serving.rest(name);
        if rests {
            let mut state = self.state();
            if state.resting.insert(name.clone()) {
                tracing::info!(server = %name, "nobody uses it: it sleeps until somebody calls");
            }
            state.alarms.set(name, None);
        }
        rests
    }

    fn runs(&self, name: &ServerName, again: Option<Duration>) {
        let mut state = self.state();
        state.alarms.set(name, again.map(|after| Instant::now() + after));
        if state.resting.remove(name) {
            tracing::info!(server = %name, "it wakes");
        }
        self.serving.rouse(name);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ticks() -> Interval {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Drop for Sleepers {
    /// Whoever leads next decides anew: what we closed may be opened again.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for name in &state.resting {
            self.serving.rouse(name);
        }
    }
}
