//! The way of calls into one downstream: limits, the least busy connection, one more try when the first cannot
//! have reached the server. Shared by the gateway, which calls, and the runner, which brings the connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Request,
    downstream::Downstream,
    link::{Asked, Fault, Link},
    registry::Counters,
    wire::{Raw, RpcError, Up, eras, text::Fields},
};
use crate::answer::Answer;

/// Calls that one downstream runs at once, and that may wait for their turn.
const RUNNING: usize = 64;
const WAITING: usize = 256;

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
    running: Semaphore,
    waiting: AtomicUsize,
    counters: Arc<Counters>,
}

/// Why a call has no answer.
enum Refusal {
    Fault(Fault),
    NoConnection { obstacle: String },
    Crowded,
}

impl Door {
    pub(super) fn new(downstream: Downstream, counters: Arc<Counters>) -> Self {
        let obstacle = "it is still connecting".to_owned();
        Self {
            wanted: watch::Sender::new(downstream),
            links: watch::Sender::new(Links { opening: true, obstacle, ..Links::default() }),
            more: Notify::new(),
            stop: CancellationToken::new(),
            running: Semaphore::new(RUNNING),
            waiting: AtomicUsize::new(0),
            counters,
        }
    }

    /// # Errors
    /// As [`super::Gateway::call`].
    pub(super) async fn call(&self, request: Request, up: mpsc::Sender<Up>) -> Result<Raw, RpcError> {
        let (limit, permitted) = {
            let wanted = self.wanted.borrow();
            (wanted.call_timeout, permits(&wanted, &request))
        };
        // What never left is not counted.
        permitted?;
        let (answer, failed) = match tokio::time::timeout(limit, self.try_twice(&request, &up)).await {
            Ok(Ok(answer)) => {
                let failed = answer.is_err();
                (answer, failed)
            }
            Ok(Err(refusal)) => (refused(&request, refusal), true),
            Err(_) => (Err(too_slow(&request, limit)), true),
        };
        self.counters.count(failed);
        answer
    }

    async fn try_twice(
        &self,
        request: &Request,
        up: &mpsc::Sender<Up>,
    ) -> Result<Result<Raw, RpcError>, Refusal> {
        let _turn = self.turn().await?;
        let mut tried = 0;
        loop {
            let link = self.link().await?;
            let Request { server: _, method, params, era } = request;
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

    /// A turn among those who call at once.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if let Ok(turn) = self.running.try_acquire() {
            return Ok(turn);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= WAITING {
            return Err(Refusal::Crowded);
        }
        self.running.acquire().await.map_err(|_| Refusal::Crowded)
    }

    /// The least busy connection; waits a moment for one that is being opened.
    async fn link(&self) -> Result<Arc<Link>, Refusal> {
        let mut links = self.links.subscribe();
        let patience = tokio::time::sleep(CONNECTION_WITHIN);
        tokio::pin!(patience);
        loop {
            let obstacle = {
                let links = links.borrow_and_update();
                let usable = links.open.iter().filter(|link| !link.is_dead());
                if let Some(link) = usable.min_by_key(|link| link.busy()) {
                    if links.spare && link.busy() > 0 {
                        self.more.notify_one();
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
        Refusal::Crowded => {
            format!("server {server} already runs {RUNNING} calls and {WAITING} wait: try again later")
        }
    };
    if request.method == "tools/call" {
        let result = Answer::error(message).into_result();
        return eras::result(&request.method, result, super::wire::Era::Legacy, request.era);
    }
    let data = json!({ "server": server.to_string() });
    Err(RpcError::with_data(RpcError::INTERNAL, &message, data))
}
