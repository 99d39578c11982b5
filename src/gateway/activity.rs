//! Whether anybody uses a downstream, and which of the MCPServers behind it: calls under way, sessions that are held,
//! calls that wait for it to wake.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{downstream::ServerName, link::Link};

/// MCPServers that somebody waits for, told when the set changes.
pub(super) type Parked = watch::Sender<BTreeSet<ServerName>>;

#[derive(Debug)]
pub(super) struct Activity {
    parked: Arc<Parked>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Calls of which it is not known yet where they go.
    choosing: usize,
    servers: BTreeMap<ServerName, Box<Use>>,
}

/// Of one MCPServer.
#[derive(Debug)]
struct Use {
    calls: usize,
    waiting: usize,
    /// Connections on which sessions have had seats.
    links: Vec<Weak<Link>>,
    /// The end of the last call or session, or when the server was registered.
    last: Instant,
}

impl Default for Use {
    fn default() -> Self {
        Self { calls: 0, waiting: 0, links: Vec::new(), last: Instant::now() }
    }
}

impl Activity {
    pub(super) fn new(parked: Arc<Parked>) -> Self {
        Self { parked, state: Mutex::default() }
    }

    /// These are the MCPServers behind it now.
    pub(super) fn keep(&self, servers: &BTreeSet<ServerName>) {
        self.with(|state| {
            // Whoever calls or waits there still takes itself off.
            state
                .servers
                .retain(|server, used| servers.contains(server) || used.calls > 0 || used.waiting > 0);
            for server in servers {
                state.servers.entry(server.clone()).or_default();
            }
        });
    }

    /// How long nobody has used it; nothing while somebody does.
    pub(super) fn idle_for(&self, server: &ServerName) -> Option<Duration> {
        self.with(|state| {
            let used = state.servers.get(server)?;
            state.is_unused(server).then(|| used.last.elapsed())
        })
    }

    /// Does this only if nobody uses the server: no call comes in between. Whether it was done.
    pub(super) fn if_unused(&self, server: &ServerName, act: impl FnOnce()) -> bool {
        self.with(|state| {
            let is_unused = state.is_unused(server);
            if is_unused {
                act();
            }
            is_unused
        })
    }

    pub(super) fn call(&self) -> Call<'_> {
        self.with(|state| state.choosing += 1);
        Call { activity: self, at: None }
    }

    /// A call waits until the server is awake.
    pub(super) fn wait(&self, server: &ServerName) -> Waiting<'_> {
        self.with(|state| state.servers.entry(server.clone()).or_default().waiting += 1);
        self.parked.send_if_modified(|parked| parked.insert(server.clone()));
        Waiting { activity: self, server: server.clone() }
    }

    /// A session has a seat on this connection now.
    pub(super) fn seated(&self, link: &Arc<Link>) {
        self.with(|state| {
            let links = &mut state.servers.entry(link.place.server.clone()).or_default().links;
            links
                .retain(|known| known.strong_count() > 0 && !std::ptr::eq(known.as_ptr(), Arc::as_ptr(link)));
            links.push(Arc::downgrade(link));
        });
    }

    pub(super) fn touch(&self, server: &ServerName) {
        self.with(|state| {
            if let Some(used) = state.servers.get_mut(server) {
                used.last = Instant::now();
            }
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn is_unused(&self, server: &ServerName) -> bool {
        let is_held = |used: &Use| used.links.iter().filter_map(Weak::upgrade).any(|link| link.is_held());
        let is_unused = |used: &Use| used.calls == 0 && used.waiting == 0 && !is_held(used);
        self.choosing == 0 && self.servers.get(server).is_none_or(|used| is_unused(used))
    }

    fn leave(&mut self, server: Option<&ServerName>) {
        match server.map(|server| self.servers.get_mut(server)) {
            None => self.choosing -= 1,
            Some(Some(used)) => used.calls -= 1,
            Some(None) => {}
        }
    }
}

/// A call, until it is dropped.
#[derive(Debug)]
pub(super) struct Call<'a> {
    activity: &'a Activity,
    /// Where it goes, once that is known.
    at: Option<ServerName>,
}

impl Call<'_> {
    /// It is of no concern for the other MCPServers from now on.
    pub(super) fn goes_to(&mut self, server: &ServerName) {
        let Self { activity, at } = self;
        if at.as_ref() == Some(server) {
            return;
        }
        activity.with(|state| {
            state.leave(at.as_ref());
            state.servers.entry(server.clone()).or_default().calls += 1;
        });
        *at = Some(server.clone());
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Self { activity, at } = self;
        activity.with(|state| {
            state.leave(at.as_ref());
            let now = Instant::now();
            match at {
                Some(server) => state.servers.entry(server.clone()).or_default().last = now,
                // It found nobody: any of them could have been asked.
                None => state.servers.values_mut().for_each(|used| used.last = now),
            }
        });
    }
}

/// A call that waits for the server to wake, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    activity: &'a Activity,
    server: ServerName,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Self { activity, server } = self;
        let left = activity.with(|state| match state.servers.get_mut(server) {
            Some(used) => {
                used.waiting -= 1;
                used.waiting
            }
            None => 0,
        });
        if left == 0 {
            activity.parked.send_if_modified(|parked| parked.remove(server));
        }
    }
}
