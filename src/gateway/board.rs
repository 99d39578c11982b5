//! The registry and those who watch it. Changes are gathered for a moment, so that a thousand servers that
//! arrive at once are not a thousand catalogues, and told only when something really changed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch};

use super::{
    Observations,
    catalogue::{Catalogue, Entry},
    downstream::ServerName,
    registry::{MemberStanding, Reach, Registry},
};

/// How long changes of the catalogue are gathered.
const SOON: Duration = Duration::from_millis(10);

/// How long changes of the counters are gathered.
const LATER: Duration = Duration::from_secs(1);

/// Shared by the gateway and its runners.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<Gathered>,
    catalogue: watch::Sender<Arc<Catalogue>>,
    observations: watch::Sender<Observations>,
}

#[derive(Debug)]
struct Gathered {
    registry: Registry,
    soon: bool,
    later: bool,
}

impl Board {
    pub(super) fn new(own: Vec<Arc<Entry>>) -> Self {
        let catalogue = Catalogue::new(0, own.clone());
        Self {
            state: Mutex::new(Gathered { registry: Registry::new(own), soon: false, later: false }),
            catalogue: watch::Sender::new(Arc::new(catalogue)),
            observations: watch::Sender::new(Arc::new(BTreeMap::new())),
        }
    }

    pub(super) fn catalogues(&self) -> &watch::Sender<Arc<Catalogue>> {
        &self.catalogue
    }

    pub(super) fn observations(&self) -> &watch::Sender<Observations> {
        &self.observations
    }

    /// Changes the registry; what follows from it is told within 10 ms.
    pub(super) fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut Registry) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut state.registry);
        if !std::mem::replace(&mut state.soon, true) {
            self.publish_in(SOON);
        }
        outcome
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Registry) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner).registry)
    }

    /// Whether and why a downstream can be reached, and its members when it is a pool; told within 10 ms when it is
    /// news.
    pub(super) fn reached(
        self: &Arc<Self>,
        name: &ServerName,
        reach: Reach,
        members: BTreeMap<ServerName, MemberStanding>,
    ) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = state.registry.members_stand(name, members);
        let is_news = state.registry.reached(name, reach) || is_news;
        if is_news && !std::mem::replace(&mut state.soon, true) {
            self.publish_in(SOON);
        }
    }

    /// A counter moved; told within a second.
    pub(super) fn counted(self: &Arc<Self>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.later, true) {
            self.publish_in(LATER);
        }
    }

    fn publish_in(self: &Arc<Self>, pause: Duration) {
        let board = self.clone();
        // Without a runtime nobody watches any more.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            board.publish();
        });
    }

    fn publish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.soon, state.later) = (false, false);
        let view = state.registry.view();
        self.catalogue.send_if_modified(|catalogue| {
            match catalogue.next(view.entries, view.stale, view.declared) {
                Some(next) => {
                    *catalogue = Arc::new(next);
                    true
                }
                None => false,
            }
        });
        self.observations.send_if_modified(|observations| {
            let changed = **observations != view.observations;
            if changed {
                *observations = Arc::new(view.observations);
            }
            changed
        });
    }
}
