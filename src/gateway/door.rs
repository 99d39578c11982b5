//! The way of calls into one downstream: limits, the least busy connection, one more try when the first cannot
//! have reached the server. Shared by the gateway, which calls, and the runner, which brings the connections.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Request,
    activity::{Activity, Call, Parked},
    downstream::{Downstream, ServerName, Target},
    link::{Asked, Fault, Link},
    members::Part,
    registry::Counters,
    together::{self, Routes},
    turns::{Crowded, Turn, Turns},
    wire::{Raw, RpcError, Up, eras, text::Fields},
};
use crate::answer::Answer;

/// Calls that one downstream runs at once, where its terms do not say.
pub const RUNNING: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// How long a call waits for a connection that is being opened.
const CONNECTION_WITHIN: Duration = Duration::from_secs(5);

/// The connections of this moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    pub(super) open: Vec<Arc<Link>>,
    /// Which of the MCPServers answer what.
    pub(super) routes: Arc<Routes>,
    /// A further one could be had.
    pub(super) spare: bool,
    /// One is being opened.
    pub(super) opening: bool,
    /// Why there is none, in words.
    pub(super) obstacle: String,
}

impl Links {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let Self { open, routes, spare, opening, obstacle } = other;
        self.open.len() == open.len()
            && Arc::ptr_eq(&self.routes, routes)
            && self.open.iter().zip(open).all(|(a, b)| Arc::ptr_eq(a, b))
            && (self.spare, self.opening, &self.obstacle) == (*spare, *opening, obstacle)
    }

    /// Those that will do for what is asked.
    fn usable<'a>(&'a self, asked: Option<&'a together::Asked>) -> impl Iterator<Item = &'a Arc<Link>> {
        let answers = move |link: &&Arc<Link>| self.routes.admits(asked, &link.place.server);
        self.open.iter().filter(|link| !link.is_dead()).filter(answers)
    }
}

/// One downstream as its callers meet it.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) wanted: watch::Sender<Downstream>,
    pub(super) links: watch::Sender<Links>,
    /// Rung when all connections are busy.
    pub(super) more: Notify,
    pub(super) stop: CancellationToken,
    /// The MCPServers behind it that were put to rest, until they are roused: no connection to them is kept meanwhile.
    pub(super) resting: watch::Sender<BTreeSet<ServerName>>,
    activity: Arc<Activity>,
    turns: Turns,
    counters: Arc<Counters>,
}

/// Why a call has no answer.
enum Refusal {
    Fault(Fault),
    NoConnection {
        obstacle: String,
    },
    /// So many may run at once.
    Crowded {
        limit: NonZeroUsize,
    },
    /// It sleeps, and did not wake within this time.
    Asleep {
        sleeper: ServerName,
        within: Duration,
        obstacle: String,
    },
}

impl Door {
    pub(super) fn new(downstream: Downstream, counters: Arc<Counters>, parked: Arc<Parked>) -> Self {
        let activity = Arc::new(Activity::new(parked));
        activity.keep(&servers(&downstream));
        let limit = downstream.terms.at_once.unwrap_or(RUNNING);
        let obstacle = "it is still connecting".to_owned();
        Self {
            wanted: watch::Sender::new(downstream),
            links: watch::Sender::new(Links { opening: true, obstacle, ..Links::default() }),
            more: Notify::new(),
            stop: CancellationToken::new(),
            resting: watch::Sender::default(),
            activity,
            turns: Turns::new(limit),
            counters,
        }
    }

    /// It is wanted otherwise from now on.
    pub(super) fn change(&self, downstream: Downstream) {
        let servers = servers(&downstream);
        self.activity.keep(&servers);
        self.wanted.send_replace(downstream);
        self.resting.send_if_modified(|resting| {
            let before = resting.len();
            resting.retain(|server| servers.contains(server));
            resting.len() != before
        });
    }

    /// Whether that MCPServer is behind it.
    pub(super) fn is_of(&self, server: &ServerName) -> bool {
        self.wanted.borrow().parts().iter().any(|(name, _)| *name == server)
    }

    /// The MCPServers behind it that may sleep.
    pub(super) fn sleepers(&self) -> Vec<ServerName> {
        let wanted = self.wanted.borrow();
        let may_sleep = |part: &Result<Part<'_>, _>| part.is_ok_and(|part| part.wakes_within.is_some());
        let parts = wanted.parts().into_iter().filter(|(_, part)| may_sleep(part));
        parts.map(|(server, _)| server.clone()).collect()
    }

    /// How long nobody has used an MCPServer behind it; nothing while somebody does.
    pub(super) fn idle_for(&self, server: &ServerName) -> Option<Duration> {
        self.activity.idle_for(server)
    }

    /// Closes the connections to it, and keeps none until it is roused. Whether it was done: not while somebody uses
    /// it.
    pub(super) fn rest(&self, server: &ServerName) -> bool {
        self.activity.if_unused(server, || {
            self.resting.send_if_modified(|resting| resting.insert(server.clone()));
        })
    }

    pub(super) fn rouse(&self, server: &ServerName) {
        self.resting.send_if_modified(|resting| resting.remove(server));
    }

    /// # Errors
    /// As [`super::Gateway::call`].
    pub(super) async fn call(&self, request: Request, up: mpsc::Sender<Up>) -> Result<Raw, RpcError> {
        let (limit, kind, permitted) = {
            let wanted = self.wanted.borrow();
            (wanted.call_timeout, kind(&wanted), permits(&wanted, &request))
        };
        // What never left is not counted.
        permitted?;
        let asked = together::asked(&request);
        let mut call = self.activity.call();
        let mut answer = self.answer(&request, asked.as_ref(), &mut call, &up, (limit, kind)).await;
        // Its pods may have gone while it was asked, put to rest by another replica: it waits as the others do. What
        // found no connection was never asked.
        if matches!(answer, Err(Refusal::NoConnection { .. })) && self.may_wake(asked.as_ref()) {
            answer = self.answer(&request, asked.as_ref(), &mut call, &up, (limit, kind)).await;
        }
        let failed = !matches!(answer, Ok(Ok(_)));
        let answer = answer.unwrap_or_else(|refusal| refused(&request, kind, refusal));
        self.counters.count(failed);
        answer
    }

    /// Once it is awake, within `limit`.
    async fn answer(
        &self,
        request: &Request,
        asked: Option<&together::Asked>,
        call: &mut Call<'_>,
        up: &mpsc::Sender<Up>,
        (limit, kind): (Duration, &str),
    ) -> Result<Result<Raw, RpcError>, Refusal> {
        self.awake(asked).await?;
        let _turn = self.turn(limit).await?;
        match tokio::time::timeout(limit, self.try_twice(request, asked, call, up)).await {
            Ok(answer) => answer,
            Err(_) => Ok(Err(too_slow(request, kind, limit))),
        }
    }

    /// Whether an MCPServer that could answer has no pods at times.
    fn may_wake(&self, asked: Option<&together::Asked>) -> bool {
        let routes = self.links.borrow().routes.clone();
        sleeper(&self.wanted.borrow(), &routes, asked).is_some()
    }

    /// A turn among those who call at once; waiting for it takes no longer than a call may.
    async fn turn(&self, within: Duration) -> Result<Turn<'_>, Refusal> {
        let limit = self.wanted.borrow().terms.at_once.unwrap_or(RUNNING);
        match tokio::time::timeout(within, self.turns.take(limit)).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(Crowded)) | Err(_) => Err(Refusal::Crowded { limit }),
        }
    }

    /// Waits until there is a connection, where an MCPServer that could answer sleeps; whoever keeps its pods sees
    /// that somebody waits.
    async fn awake(&self, asked: Option<&together::Asked>) -> Result<(), Refusal> {
        let (mut links, mut resting) = (self.links.subscribe(), self.resting.subscribe());
        // What it had before it rested is of no use.
        let usable = |links: &Links, resting: &BTreeSet<ServerName>| {
            links.usable(asked).any(|link| !resting.contains(&link.place.server))
        };
        if usable(&links.borrow_and_update(), &resting.borrow_and_update()) {
            return Ok(());
        }
        let routes = links.borrow().routes.clone();
        let Some((sleeper, within)) = sleeper(&self.wanted.borrow(), &routes, asked) else { return Ok(()) };
        let _waiting = self.activity.wait(&sleeper);
        let woken = async {
            while !usable(&links.borrow_and_update(), &resting.borrow_and_update()) {
                let is_over = tokio::select! {
                    changed = links.changed() => changed.is_err(),
                    changed = resting.changed() => changed.is_err(),
                };
                if is_over {
                    return false;
                }
            }
            true
        };
        if tokio::time::timeout(within, woken).await == Ok(true) {
            return Ok(());
        }
        let obstacle = self.links.borrow().obstacle.clone();
        Err(Refusal::Asleep { sleeper, within, obstacle })
    }

    async fn try_twice(
        &self,
        request: &Request,
        entry: Option<&together::Asked>,
        call: &mut Call<'_>,
        up: &mpsc::Sender<Up>,
    ) -> Result<Result<Raw, RpcError>, Refusal> {
        let mut tried = 0;
        loop {
            let link = self.link(request, entry).await?;
            call.goes_to(&link.place.server);
            let Request { server: _, method, params, era, seats: _ } = request;
            let asked = Asked { method, params: params.as_ref(), era: *era };
            tried += 1;
            match link.call(asked, up).await {
                Ok(Ok(result)) => return Ok(eras::result(method, result, link.spoken.era, *era)),
                Ok(Err(error)) => return Ok(Err(eras::error(error, link.spoken.era, *era))),
                Err(fault) if fault.never_happened() && tried < 2 => {}
                Err(fault) => return Err(Refusal::Fault(fault)),
            }
        }
    }

    /// Whether what is asked over this connection is kept there between calls, and could be asked elsewhere too.
    fn keeps(&self, link: &Link) -> bool {
        let wanted = self.wanted.borrow();
        let has_choice = matches!(wanted.target, Target::Endpoints { .. } | Target::Members(_));
        // One that has left keeps its sessions for as long as any that leaves.
        let is_stateless = |part: Part<'_>| part.stateless;
        has_choice && !wanted.terms.stateless && !wanted.part(&link.place.server).is_some_and(is_stateless)
    }

    /// Whether the session that has its seat there can stay for what is asked.
    fn suits(&self, link: &Link, routes: &Routes, asked: Option<&together::Asked>) -> bool {
        let server = &link.place.server;
        self.keeps(link) && (routes.admits(asked, server) || self.wanted.borrow().part(server).is_none())
    }

    /// The connection of the session that asks, or else the least busy one; waits a moment for one that is being
    /// opened.
    async fn link(&self, request: &Request, asked: Option<&together::Asked>) -> Result<Arc<Link>, Refusal> {
        let mut links = self.links.subscribe();
        let routes = links.borrow().routes.clone();
        let suits = |link: &Link| self.suits(link, &routes, asked);
        let seats = request.seats.as_deref();
        if let Some(link) = seats.and_then(|seats| seats.link(&request.server, suits)) {
            return Ok(link);
        }
        let patience = tokio::time::sleep(CONNECTION_WITHIN);
        tokio::pin!(patience);
        loop {
            let obstacle = {
                let links = links.borrow_and_update();
                let resting = self.resting.borrow();
                let usable = links.usable(asked).filter(|link| !resting.contains(&link.place.server));
                if let Some(link) = usable.min_by_key(|link| (link.busy(), link.seated())) {
                    let seats = seats.filter(|_| self.keeps(link));
                    if links.spare && (link.busy() > 0 || seats.is_some() && link.seated() > 0) {
                        self.more.notify_one();
                    }
                    if let Some(seats) = seats {
                        seats.take(&request.server, link.clone(), &self.activity);
                    }
                    return Ok(link.clone());
                }
                // A dead one that is still listed: the runner has not heard of its end yet.
                let is_there = |link: &Arc<Link>| links.routes.admits(asked, &link.place.server);
                if !links.opening && !links.open.iter().any(is_there) {
                    return Err(Refusal::NoConnection { obstacle: links.obstacle.clone() });
                }
                links.obstacle.clone()
            };
            tokio::select! {
                changed = links.changed() => {
                    if changed.is_err() {
                        return Err(Refusal::NoConnection { obstacle });
                    }
                }
                () = &mut patience => return Err(Refusal::NoConnection { obstacle }),
            }
        }
    }
}

fn servers(downstream: &Downstream) -> BTreeSet<ServerName> {
    downstream.parts().into_iter().map(|(server, _)| server.clone()).collect()
}

/// The MCPServer to wake for what is asked: the first by name that may sleep; and how long that may take.
fn sleeper(
    wanted: &Downstream,
    routes: &Routes,
    asked: Option<&together::Asked>,
) -> Option<(ServerName, Duration)> {
    let mut parts = wanted.parts().into_iter().filter(|(server, _)| routes.admits(asked, server));
    parts.find_map(|(server, part)| Some((server.clone(), part.ok()?.wakes_within?)))
}

/// Allow and deny hold for calls as for lists; a hidden tool is answered as one that is not there.
fn permits(wanted: &Downstream, request: &Request) -> Result<(), RpcError> {
    if request.method != "tools/call" {
        return Ok(());
    }
    let fields = Fields::of(request.params.as_deref()).unwrap_or_default();
    let name = fields.get_str("name").unwrap_or_default();
    if wanted.tools.permits(&name) {
        return Ok(());
    }
    let message = format!("Unknown tool: server {} offers no `{name}`; list the tools again", wanted.name);
    Err(RpcError::new(RpcError::INVALID_PARAMS, &message))
}

/// What its settings stand in.
fn kind(wanted: &Downstream) -> &'static str {
    if matches!(wanted.target, Target::Members(_)) { "MCPPool" } else { "MCPServer" }
}

fn too_slow(request: &Request, kind: &str, limit: Duration) -> RpcError {
    let Request { server, method, .. } = request;
    let message = format!(
        "server {server} did not answer {method} within {limit:?}, and the call was cancelled: ask for less at once, or raise gateway.callTimeout of {kind} {server}"
    );
    let data = json!({ "server": server.to_string(), "method": method, "limitMs": limit.as_millis() });
    RpcError::with_data(RpcError::INTERNAL, &message, data)
}

/// A model reads the text of a tool's error, while most clients hide the message of a protocol error.
fn refused(request: &Request, kind: &str, refusal: Refusal) -> Result<Raw, RpcError> {
    let server = &request.server;
    let message = match refusal {
        Refusal::Fault(Fault::Unsendable(sentence)) => return Err(sentence.0),
        Refusal::Fault(fault) => format!("server {server} gave no answer: {fault}"),
        Refusal::NoConnection { obstacle } => {
            format!(
                "server {server} cannot be called now: {obstacle}; see get_mcp_server, and try again later"
            )
        }
        Refusal::Crowded { limit } => {
            format!(
                "server {server} already runs {limit} calls, as many as it may at once, and others wait: try again later, or raise gateway.maxConcurrentCalls of {kind} {server}"
            )
        }
        Refusal::Asleep { sleeper, within, obstacle } => format!(
            "server {server} was asleep and no pod of it answered within {within:?} ({obstacle}): see get_mcp_server, and try again or raise scaleToZero.wakeTimeout of MCPServer {sleeper}"
        ),
    };
    if request.method == "tools/call" {
        let result = Answer::error(message).into_result();
        return eras::result(&request.method, result, super::wire::Era::Legacy, request.era);
    }
    let data = json!({ "server": server.to_string() });
    Err(RpcError::with_data(RpcError::INTERNAL, &message, data))
}
