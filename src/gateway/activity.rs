//! Whether anybody uses a downstream: calls under way, sessions that are held, calls that wait for it to wake.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{downstream::ServerName, link::Link};

/// Servers that somebody waits for, told when the set changes.
pub(super) type Parked = watch::Sender<BTreeSet<ServerName>>;

#[derive(Debug)]
pub(super) struct Activity {
    server: ServerName,
    parked: Arc<Parked>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    calls: usize,
    waiting: usize,
    /// Connections on which sessions have had seats.
    links: Vec<Weak<Link>>,
    /// The end of the last call or session, or when the server was registered.
    last: Instant,
}

impl Activity {
    pub(super) fn new(server: ServerName, parked: Arc<Parked>) -> Self {
        let state = State { calls: 0, waiting: 0, links: Vec::new(), last: Instant::now() };
        Self { server, parked, state: Mutex::new(state) }
    }

    /// How long nobody has used it; nothing while somebody does.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        self.with(|state| state.is_unused().then(|| state.last.elapsed()))
    }

    /// Does this only if nobody uses the server: no call comes in between. Whether it was done.
    pub(super) fn if_unused(&self, act: impl FnOnce()) -> bool {
        self.with(|state| {
            let is_unused = state.is_unused();
            if is_unused {
                act();
            }
            is_unused
        })
    }

    pub(super) fn call(&self) -> Call<'_> {
        self.with(|state| state.calls += 1);
        Call(self)
    }

    /// A call waits until the server is awake.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.with(|state| state.waiting += 1);
        self.parked.send_if_modified(|parked| parked.insert(self.server.clone()));
        Waiting(self)
    }

    /// A session has a seat on this connection now.
    pub(super) fn seated(&self, link: &Arc<Link>) {
        self.with(|state| {
            state
                .links
                .retain(|known| known.strong_count() > 0 && !std::ptr::eq(known.as_ptr(), Arc::as_ptr(link)));
            state.links.push(Arc::downgrade(link));
        });
    }

    pub(super) fn touch(&self) {
        self.with(|state| state.last = Instant::now());
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn is_unused(&self) -> bool {
        let is_held = self.links.iter().filter_map(Weak::upgrade).any(|link| link.is_held());
        self.calls == 0 && self.waiting == 0 && !is_held
    }
}

/// A call, until it is dropped.
#[derive(Debug)]
pub(super) struct Call<'a>(&'a Activity);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.with(|state| {
            state.calls -= 1;
            state.last = Instant::now();
        });
    }
}

/// A call that waits for the server to wake, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Activity);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Self(activity) = self;
        let left = activity.with(|state| {
            state.waiting -= 1;
            state.waiting
        });
        if left == 0 {
            activity.parked.send_if_modified(|parked| parked.remove(&activity.server));
        }
    }
}
