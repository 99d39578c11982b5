//! The way of calls into one downstream: limits, the least busy connection, one more try when the first cannot
//! have reached the server. Shared by the gateway, which calls, and the runner, which brings the connections.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Request,
    activity::{Activity, Parked},
    downstream::{Downstream, Target},
    link::{Asked, Fault, Link},
    registry::Counters,
    seats::Seats,
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
    /// A further one could be had.
    pub(super) spare: bool,
    /// One is being opened.
    pub(super) opening: bool,
    /// Why there is none, in words.
    pub(super) obstacle: String,
}

impl Links {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let Self { open, spare, opening, obstacle } = other;
        self.open.len() == open.len()
            && self.open.iter().zip(open).all(|(a, b)| Arc::ptr_eq(a, b))
            && (self.spare, self.opening, &self.obstacle) == (*spare, *opening, obstacle)
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
    /// True from when it is put to rest until it is roused: no connection is kept meanwhile.
    pub(super) resting: watch::Sender<bool>,
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
        within: Duration,
        obstacle: String,
    },
}

impl Door {
    pub(super) fn new(downstream: Downstream, counters: Arc<Counters>, parked: Arc<Parked>) -> Self {
        let activity = Arc::new(Activity::new(downstream.name.clone(), parked));
        let limit = downstream.terms.at_once.unwrap_or(RUNNING);
        let obstacle = "it is still connecting".to_owned();
        Self {
            wanted: watch::Sender::new(downstream),
            links: watch::Sender::new(Links { opening: true, obstacle, ..Links::default() }),
            more: Notify::new(),
            stop: CancellationToken::new(),
            resting: watch::Sender::new(false),
            activity,
            turns: Turns::new(limit),
            counters,
        }
    }

    /// How long nobody has used it; nothing while somebody does.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        self.activity.idle_for()
    }

    /// Closes its connections, and keeps none until it is roused. Whether it was done: not while somebody uses it.
    pub(super) fn rest(&self) -> bool {
        self.activity.if_unused(|| self.set_resting(true))
    }

    pub(super) fn rouse(&self) {
        self.set_resting(false);
    }

    fn set_resting(&self, resting: bool) {
        self.resting.send_if_modified(|before| std::mem::replace(before, resting) != resting);
    }

    /// # Errors
    /// As [`super::Gateway::call`].
    pub(super) async fn call(&self, request: Request, up: mpsc::Sender<Up>) -> Result<Raw, RpcError> {
        let (limit, wakes_within, permitted) = {
            let wanted = self.wanted.borrow();
            (wanted.call_timeout, wanted.terms.wakes_within, permits(&wanted, &request))
        };
        // What never left is not counted.
        permitted?;
        let _call = self.activity.call();
        if let Some(within) = wakes_within
            && let Err(refusal) = self.awake(within).await
        {
            self.counters.count(true);
            return refused(&request, refusal);
        }
        let answer = match self.turn(limit).await {
            Ok(_turn) => match tokio::time::timeout(limit, self.try_twice(&request, &up)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(refusal)) => Err(refusal),
                Err(_) => Ok(Err(too_slow(&request, limit))),
            },
            Err(refusal) => Err(refusal),
        };
        let failed = !matches!(answer, Ok(Ok(_)));
        let answer = answer.unwrap_or_else(|refusal| refused(&request, refusal));
        self.counters.count(failed);
        answer
    }

    /// A turn among those who call at once; waiting for it takes no longer than a call may.
    async fn turn(&self, within: Duration) -> Result<Turn<'_>, Refusal> {
        let limit = self.wanted.borrow().terms.at_once.unwrap_or(RUNNING);
        match tokio::time::timeout(within, self.turns.take(limit)).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(Crowded)) | Err(_) => Err(Refusal::Crowded { limit }),
        }
    }

    /// Waits until there is a connection; whoever keeps the server's pods sees that somebody waits.
    async fn awake(&self, within: Duration) -> Result<(), Refusal> {
        let mut links = self.links.subscribe();
        let usable = |links: &Links| links.open.iter().any(|link| !link.is_dead());
        if !*self.resting.borrow() && usable(&links.borrow_and_update()) {
            return Ok(());
        }
        let _waiting = self.activity.wait();
        let woken = async {
            let mut resting = self.resting.subscribe();
            // What it had before it rested is of no use.
            let is_roused = resting.wait_for(|resting| !*resting).await.is_ok();
            is_roused && links.wait_for(usable).await.is_ok()
        };
        if tokio::time::timeout(within, woken).await == Ok(true) {
            return Ok(());
        }
        let obstacle = self.links.borrow().obstacle.clone();
        Err(Refusal::Asleep { within, obstacle })
    }

    async fn try_twice(
        &self,
        request: &Request,
        up: &mpsc::Sender<Up>,
    ) -> Result<Result<Raw, RpcError>, Refusal> {
        let mut tried = 0;
        loop {
            let link = self.link(request).await?;
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

    /// The seats of the session that asks, where the server keeps something between calls and has several endpoints
    /// to keep it at.
    fn seats<'a>(&self, request: &'a Request) -> Option<&'a Seats> {
        let wanted = self.wanted.borrow();
        let keeps = !wanted.terms.stateless && matches!(wanted.target, Target::Endpoints { .. });
        request.seats.as_deref().filter(|_| keeps)
    }

    /// The connection of the session that asks, or else the least busy one; waits a moment for one that is being
    /// opened.
    async fn link(&self, request: &Request) -> Result<Arc<Link>, Refusal> {
        let seats = self.seats(request);
        if let Some(link) = seats.and_then(|seats| seats.link(&request.server)) {
            return Ok(link);
        }
        let mut links = self.links.subscribe();
        let patience = tokio::time::sleep(CONNECTION_WITHIN);
        tokio::pin!(patience);
        loop {
            let obstacle = {
                let links = links.borrow_and_update();
                let usable = links.open.iter().filter(|link| !link.is_dead());
                if let Some(link) = usable.min_by_key(|link| (link.busy(), link.seated())) {
                    if links.spare && (link.busy() > 0 || seats.is_some() && link.seated() > 0) {
                        self.more.notify_one();
                    }
                    if let Some(seats) = seats {
                        seats.take(&request.server, link.clone(), &self.activity);
                    }
                    return Ok(link.clone());
                }
                // A dead one that is still listed: the runner has not heard of its end yet.
                if !links.opening && links.open.is_empty() {
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

fn too_slow(request: &Request, limit: Duration) -> RpcError {
    let Request { server, method, .. } = request;
    let message = format!(
        "server {server} did not answer {method} within {limit:?}, and the call was cancelled: ask for less at once, or raise gateway.callTimeout of MCPServer {server}"
    );
    let data = json!({ "server": server.to_string(), "method": method, "limitMs": limit.as_millis() });
    RpcError::with_data(RpcError::INTERNAL, &message, data)
}

/// A model reads the text of a tool's error, while most clients hide the message of a protocol error.
fn refused(request: &Request, refusal: Refusal) -> Result<Raw, RpcError> {
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
                "server {server} already runs {limit} calls, as many as it may at once, and others wait: try again later, or raise gateway.maxConcurrentCalls of MCPServer {server}"
            )
        }
        Refusal::Asleep { within, obstacle } => format!(
            "server {server} was asleep and no pod of it answered within {within:?} ({obstacle}): see get_mcp_server, and try again or raise scaleToZero.wakeTimeout of MCPServer {server}"
        ),
    };
    if request.method == "tools/call" {
        let result = Answer::error(message).into_result();
        return eras::result(&request.method, result, super::wire::Era::Legacy, request.era);
    }
    let data = json!({ "server": server.to_string() });
    Err(RpcError::with_data(RpcError::INTERNAL, &message, data))
}
