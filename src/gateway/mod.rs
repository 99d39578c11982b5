//! The gateway: downstream MCP servers, their catalogue, and calls to them. Knows MCP, not Kubernetes.
//!
//! `fleet` feeds it with [`Downstream`] values through [`Gateway::apply`] and [`Gateway::delete`]; `mcp` reads
//! [`Gateway::catalogue`] and sends requests through [`Gateway::call`].

mod activity;
mod board;
mod breaker;
mod canonical;
pub mod catalogue;
mod client;
pub mod contract;
pub mod declared;
mod door;
pub mod downstream;
pub mod figures;
mod handshakes;
mod inherited;
mod link;
mod members;
mod names;
pub mod observation;
mod offer;
mod pins;
mod private;
mod pulse;
mod registry;
mod remembered;
mod repair;
mod rounds;
mod runner;
mod scan;
mod seats;
mod sessions;
mod settings;
mod shape;
mod slots;
mod standing;
mod together;
mod turns;
mod updates;
pub mod uris;
pub mod wire;

pub use breaker::Circuit;
pub use catalogue::{Catalogue, Entry, Exposure, Kind, Route};
pub use client::Client;
pub use contract::{Breach, ToolDefinition};
pub use declared::Declared;
pub use door::RUNNING;
pub use downstream::{
    Downstream, Endpoint, Member, Pinning, Prefix, Program, Reached, Refusal, ServerName, Target, Terms,
    ToolPolicy, Transport,
};
pub use figures::{Figures, Latency};
pub use inherited::Legacy;
pub use observation::{Observation, ServerInfo, State, ToolSummary};
pub use rounds::{is_about_task, unknown_task};
pub use seats::Seats;
pub use sessions::Lives;
pub use settings::Settings;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use futures::stream::BoxStream;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use self::{
    activity::Parked,
    board::Board,
    door::{Door, Links},
    handshakes::Handshakes,
    inherited::Inherited,
    link::Dialer,
    private::Opener,
    registry::{Reach, Registry},
    remembered::Memory,
    rounds::Rounds,
    runner::{Runner, Shared},
    sessions::Sessions,
    wire::{Era, Raw, RpcError, Up, rejected::Rejections},
};
use crate::caller::Caller;

/// A proxied request, names and URIs already those of the downstream.
#[derive(Debug)]
pub struct Request {
    pub server: ServerName,
    pub method: String,
    /// As the client sent them, but for renamed names; the client's own progress token is still in `_meta`.
    pub params: Option<Raw>,
    /// The era of the asking client: the answer is given in its words.
    pub era: Era,
    /// Of the asking client, if it is known: its session's, or for a modern client those of this request.
    pub seats: Option<Arc<Seats>>,
}

impl Request {
    /// Who asks, where it is known.
    fn client(&self) -> Option<&Client> {
        self.seats.as_deref()?.client()
    }
}

/// What every downstream's last handshake and calls have shown.
pub type Observations = Arc<BTreeMap<ServerName, Observation>>;

/// For runners and connections to end after their calls have, or the deadline has passed.
const END_WITHIN: Duration = Duration::from_secs(8);

/// All downstreams and what they offer. Cheap to share behind an `Arc`.
pub struct Gateway {
    board: Arc<Board>,
    doors: RwLock<BTreeMap<ServerName, Arc<Door>>>,
    /// Made with the first downstream, or why it cannot be made.
    dialer: OnceLock<Result<Arc<Dialer>, String>>,
    rejections: Arc<Rejections>,
    handshakes: Handshakes,
    parked: Arc<Parked>,
    rounds: Rounds,
    sessions: Sessions,
    settings: Arc<Settings>,
    memory: Option<Arc<Memory>>,
    inherited: Mutex<Inherited>,
    runners: TaskTracker,
    calls: TaskTracker,
}

impl Gateway {
    /// `own` are pilothouse's own entries (route [`Route::Own`]); they are in the catalogue from the start. What it
    /// seals only this process opens.
    pub fn new(own: Vec<Entry>) -> Self {
        Self::with(own, Settings::default())
    }

    /// The same with other settings than the usual ones.
    pub fn with(own: Vec<Entry>, settings: Settings) -> Self {
        Self {
            board: Arc::new(Board::new(registry::without_repeats(own))),
            doors: RwLock::default(),
            dialer: OnceLock::new(),
            rejections: Arc::default(),
            handshakes: Handshakes::default(),
            parked: Arc::default(),
            rounds: Rounds::new(settings.ring.clone(), &settings.replica),
            sessions: Sessions::new(settings.lives),
            memory: settings.memory.clone().map(|folder| Arc::new(Memory::at(folder))),
            settings: Arc::new(settings),
            inherited: Mutex::default(),
            runners: TaskTracker::new(),
            calls: TaskTracker::new(),
        }
    }

    /// Registers a downstream, or changes it. Returns at once; connecting happens in the background. Must be
    /// called inside a Tokio runtime. Applying an equal value again does nothing.
    pub fn apply(&self, downstream: Downstream) {
        let mut doors = self.doors.write().unwrap_or_else(PoisonError::into_inner);
        if self.runners.is_closed() {
            return;
        }
        if let Some(door) = doors.get(&downstream.name) {
            if *door.wanted.borrow() == downstream {
                return;
            }
            self.board.change(|registry| registry.apply(&downstream));
            if let Some(Ok(dialer)) = self.dialer.get() {
                // What was approved is remembered.
                self.shared(dialer.clone()).remember(&downstream.name);
            }
            door.change(downstream);
            return;
        }
        let name = downstream.name.clone();
        let counters = self.board.change(|registry| registry.apply(&downstream));
        if let Some(page) = self.memory.as_ref().and_then(|memory| memory.recall(&name, downstream.created)) {
            self.board.change(|registry| registry.recall(&name, page));
        }
        // What another replica has seen is newer than what we remember.
        if let Some(offer) = self.heir().take(&name, downstream.created) {
            self.board.change(|registry| registry.offered(&name, offer));
        }
        let dialer = self.dialer();
        let (handshakes, sessions) = (self.handshakes.clone(), self.sessions.clone());
        let opener =
            dialer.as_ref().ok().map(|dialer| Opener { dialer: dialer.clone(), handshakes, sessions });
        let asking = (opener, self.rounds.clone());
        let door = Arc::new(Door::new(downstream, counters, self.parked.clone(), asking, self.board.clone()));
        doors.insert(name.clone(), door.clone());
        match dialer {
            Ok(dialer) => {
                self.runners.spawn(Runner::new(name, door, self.shared(dialer)).run());
            }
            Err(reason) => {
                let obstacle = reason.clone();
                door.links.send_replace(Links { obstacle, ..Links::default() });
                self.board.reached(&name, Reach::Unreachable { reason }, BTreeMap::new());
            }
        }
    }

    /// Messages of servers that were not taken.
    pub fn rejections(&self) -> &Arc<Rejections> {
        &self.rejections
    }

    fn shared(&self, dialer: Arc<Dialer>) -> Shared {
        Shared {
            board: self.board.clone(),
            dialer,
            handshakes: self.handshakes.clone(),
            settings: self.settings.clone(),
            memory: self.memory.clone(),
        }
    }

    fn heir(&self) -> MutexGuard<'_, Inherited> {
        self.inherited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every server offered last, for another replica to [inherit](Self::inherit).
    pub fn legacy(&self) -> Vec<Legacy> {
        self.board.look(Registry::legacy)
    }

    /// What servers offered last to another replica: shown as soon as they are applied here, until they have answered
    /// themselves. Servers that were applied before keep what they have.
    pub fn inherit(&self, legacy: Vec<Legacy>) {
        self.heir().keep(legacy);
    }

    fn dialer(&self) -> Result<Arc<Dialer>, String> {
        self.dialer.get_or_init(|| Dialer::new(self.rejections.clone()).map(Arc::new)).clone()
    }

    fn door(&self, name: &ServerName) -> Option<Arc<Door>> {
        self.doors.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The door behind which an MCPServer is: its own, or that of its pool.
    fn door_of(&self, server: &ServerName) -> Option<Arc<Door>> {
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
        let own = doors.get(server).filter(|door| door.is_of(server));
        own.or_else(|| doors.values().find(|door| door.is_of(server))).cloned()
    }

    /// The tools of a server that is not registered, such as one pod of a new revision: connects to its first
    /// place, lists and leaves.
    ///
    /// # Errors
    /// One sentence: why it does not answer as an MCP server.
    pub async fn inspect(&self, downstream: &Downstream) -> Result<Vec<ToolDefinition>, String> {
        let dialer = self.dialer()?;
        let part = downstream.part(&downstream.name).ok_or_else(|| "it is no single server".to_owned())?;
        let places = link::places(&part)?;
        let place = places.first().ok_or_else(|| "it has no endpoint".to_owned())?;
        // Nobody hears what it says beside.
        let (nobody, _) = link::line();
        let link = link::open(&downstream.name, place, None, &dialer, nobody, None).await?;
        let offer = link.list().await?;
        let tools = offer.entries.into_iter().filter(|entry| entry.kind == Kind::Tool);
        Ok(tools.map(|tool| ToolDefinition { name: tool.original, raw: tool.raw }).collect())
    }

    /// The tools that a registered server offered last; of a member of a pool, those that the pool offers and calls
    /// there.
    pub fn definitions(&self, name: &ServerName) -> Vec<ToolDefinition> {
        self.board.look(|registry| registry.definitions(name))
    }

    /// How long nobody has called a registered server, or a member of a pool, or held a session with it, by way of this
    /// process; nothing while somebody does, or when it is not registered.
    pub fn idle_for(&self, name: &ServerName) -> Option<Duration> {
        self.door_of(name)?.idle_for(name)
    }

    /// Closes all connections to a server and keeps none until it is [roused](Self::rouse); calls wait. Whether it
    /// was done: not while somebody uses it.
    pub fn rest(&self, name: &ServerName) -> bool {
        self.door_of(name).is_some_and(|door| door.rest(name))
    }

    pub fn rouse(&self, name: &ServerName) {
        if let Some(door) = self.door_of(name) {
            door.rouse(name);
        }
    }

    /// The registered servers, and members of pools, that may have no pods while nobody uses them.
    pub fn sleepers(&self) -> BTreeSet<ServerName> {
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
        doors.values().flat_map(|door| door.sleepers()).collect()
    }

    /// Told of the servers that calls wait for to wake.
    pub fn parked(&self) -> watch::Receiver<BTreeSet<ServerName>> {
        self.parked.subscribe()
    }

    /// Forgets a downstream; its tools leave the catalogue, its calls in flight end with an error.
    pub fn delete(&self, name: &ServerName) {
        self.withdraw(name);
        if let Some(memory) = &self.memory {
            memory.forget(name);
        }
    }

    /// As [`Self::delete`], for one that cannot be used as it is declared now: what its tools were is remembered.
    pub fn withdraw(&self, name: &ServerName) {
        let door = self.doors.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(door) = door {
            door.stop.cancel();
            self.rounds.let_go(|server| door.is_of(server));
            self.sessions.end(name);
            self.board.change(|registry| registry.delete(name));
        }
    }

    /// One item for each change of a resource of a downstream, by the server's own URI, for as long as the stream is
    /// held and the server registered.
    ///
    /// # Errors
    /// When there is no such server any more, or it tells of no changes.
    pub fn updates(&self, server: &ServerName, uri: &str) -> Result<BoxStream<'static, ()>, RpcError> {
        match self.door(server) {
            Some(door) => door.updates(uri),
            None => Err(unregistered(server)),
        }
    }

    /// The replica that holds the call open to which this `requestState` of one of our answers belongs, by the name
    /// that it was given. Nothing for every other state: any replica can take that.
    pub fn holder(&self, request_state: &str) -> Option<String> {
        self.rounds.owner_of(request_state)
    }

    /// The server of the task that one of our ids stands for, and the tool that was called there, by the server's own
    /// name. Nothing when it is no task of this caller.
    pub fn task(&self, id: &str, caller: &Caller) -> Option<(ServerName, String)> {
        let task = self.rounds.task(id, &caller.fingerprint())?;
        Some((task.server(), task.tool))
    }

    /// The catalogue of this moment.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.board.catalogues().borrow().clone()
    }

    /// Told of every new catalogue.
    pub fn catalogues(&self) -> watch::Receiver<Arc<Catalogue>> {
        self.board.catalogues().subscribe()
    }

    /// Told of every change of what is known of the downstreams; counters of calls within a second.
    pub fn observations(&self) -> watch::Receiver<Observations> {
        self.board.observations().subscribe()
    }

    /// How every downstream does at this moment, in numbers.
    pub fn figures(&self) -> BTreeMap<ServerName, Figures> {
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
        let figures = doors.iter().map(|(name, door)| {
            let (connections, sessions) = door.in_use();
            let listed = self.board.look(|registry| registry.listed(name));
            let figures =
                Figures { connections, sessions, circuit: door.circuit(), listed, latency: door.latency() };
            (name.clone(), figures)
        });
        figures.collect()
    }

    /// Sends a request to a downstream and waits for its answer; `up` gets what the server sends meanwhile, in
    /// its order, before the answer. Dropping the future cancels the request at the downstream.
    ///
    /// What keeps a `tools/call` from its answer (the server cannot be reached, its answer is garbage or too
    /// large) is a tool's error result, which a model can read; for other methods, and for a call that took
    /// too long, it is an error.
    ///
    /// # Errors
    /// The downstream's own error as it came, or ours when it is unknown, unreachable or too slow.
    pub async fn call(&self, request: Request, up: mpsc::Sender<Up>) -> Result<Raw, RpcError> {
        let _open = self.calls.token();
        let Some(door) = self.door(&request.server) else { return Err(unregistered(&request.server)) };
        let outcome = door.call(request, up).await;
        self.board.counted();
        outcome
    }

    /// Ends connections and child processes; calls in flight may finish before `deadline` has passed. Nothing
    /// can be applied afterwards.
    pub async fn shutdown(&self, deadline: Duration) {
        self.runners.close();
        self.calls.close();
        if tokio::time::timeout(deadline, self.calls.wait()).await.is_err() {
            tracing::warn!(?deadline, calls = self.calls.len(), "calls were cut off");
        }
        for door in self.doors.read().unwrap_or_else(PoisonError::into_inner).values() {
            door.stop.cancel();
        }
        self.rounds.let_go(|_| true);
        let ends = async {
            self.runners.wait().await;
            if let Some(Ok(dialer)) = self.dialer.get() {
                dialer.keepers.close();
                dialer.keepers.wait().await;
            }
        };
        if tokio::time::timeout(END_WITHIN, ends).await.is_err() {
            tracing::warn!("connections to servers did not end in time and were left");
        }
    }
}

fn unregistered(server: &ServerName) -> RpcError {
    let message = format!("no server {server} is registered any more: list again");
    RpcError::new(RpcError::INVALID_PARAMS, &message)
}
