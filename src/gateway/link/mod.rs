//! One connection to one endpoint, URL or process. Calls go over it as text; rmcp keeps what runs over pipes and
//! HTTP+SSE. See `README.md` for why.

mod dialer;
mod ear;
mod follow;
mod hello;
mod http;
mod listener;
mod listing;
mod open;
mod place;
mod process;
mod sse;
mod stream;
mod upkeep;

pub(super) use dialer::Dialer;
pub(super) use follow::follow;
pub(super) use open::{HANDSHAKE_WITHIN, open};
pub(super) use place::{At, Place, places};

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::http::{HeaderMap, HeaderValue};
use arc_swap::ArcSwap;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{ear::Teller, http::HttpWay, listener::Listener};
use super::{
    client::Client,
    declared::Declared,
    observation::ServerInfo,
    wire::{
        Era, Raw, RpcError, Up, eras,
        eras::Spoken,
        headers,
        lines::Pen,
        table::{Ended, Table, Unanswered, request},
        text::{Fields, Head, raw, string},
    },
};

pub(super) use ear::{Hearing, Line, News, Told, line};

/// Largest message of a downstream, in bytes.
pub(super) const LARGEST: usize = 32 * 1024 * 1024;

/// For the answer to a question of the server, which a person may have to give.
const QUESTION_WITHIN: Duration = Duration::from_secs(600);
/// For a server to take what needs no answer.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// For a server to take the level of its log messages.
const TUNED_WITHIN: Duration = Duration::from_secs(5);

/// Why a call has no answer of the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The connection ended while the call was open; the server may have acted on it.
    #[error("the connection ended during the call ({0}): see whether it was done before you repeat it")]
    Ended(String),
    /// The server has forgotten the session; it did not act on the call.
    #[error("it has forgotten our session: try again in a moment")]
    SessionGone,
    /// The request was never sent.
    #[error("it cannot be reached ({0}): see whether its pods run and listen")]
    Unreachable(String),
    #[error("its answer is larger than {LARGEST} bytes: ask for less at once")]
    TooLarge,
    #[error("its answer is not MCP ({0}): see the server's own log")]
    Garbage(String),
    #[error("it answered HTTP {status}: {advice}")]
    Refused { status: u16, advice: &'static str },
    /// Our own answer: what the client sent cannot be sent on.
    #[error("{}", .0.message().unwrap_or_default())]
    Unsendable(Sentence),
}

/// An error answer of ours, comparable by its text.
#[derive(Clone, Debug)]
pub(super) struct Sentence(pub(super) RpcError);

impl PartialEq for Sentence {
    fn eq(&self, other: &Self) -> bool {
        self.0.0.get() == other.0.0.get()
    }
}

impl Eq for Sentence {}

impl Sentence {
    fn message(&self) -> Option<String> {
        self.0.message()
    }
}

impl Fault {
    /// The server cannot have acted on the request, so it may be sent again.
    pub(super) fn never_happened(&self) -> bool {
        matches!(self, Self::SessionGone | Self::Unreachable(_))
    }

    /// It says that something is wrong with the server, and not with what was asked.
    pub(super) fn speaks_of_server(&self) -> bool {
        match self {
            Self::Ended(_) | Self::Unreachable(_) | Self::Garbage(_) | Self::Refused { .. } => true,
            Self::SessionGone | Self::TooLarge | Self::Unsendable(_) => false,
        }
    }

    /// Why nobody is to call the server, for all who hear it: without a word of its answer, which was for one caller.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Garbage(_) => "its answer is not MCP".to_owned(),
            other => other.to_string(),
        }
    }

    /// The connection is of no further use.
    fn ends_link(&self) -> bool {
        matches!(self, Self::SessionGone | Self::Unreachable(_))
    }
}

impl From<Unanswered> for Fault {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Ended(Ended(why)) => Self::Ended(why),
            Unanswered::Malformed(why) => Self::Garbage(why),
        }
    }
}

async fn until(asking: &mut watch::Receiver<usize>, is_it: impl Fn(usize) -> bool) {
    if asking.wait_for(|open| is_it(*open)).await.is_err() {
        std::future::pending().await
    }
}

/// An open connection. Dropping the last handle closes it.
#[derive(Debug)]
pub(super) struct Link {
    /// Unique in this process.
    pub(super) id: u64,
    pub(super) place: Place,
    pub(super) spoken: Spoken,
    pub(super) info: ServerInfo,
    pub(super) offers: Offers,
    /// What else the server declares.
    pub(super) declared: Option<Arc<Declared>>,
    table: Arc<Table>,
    way: Way,
    /// Input schemas of the tools whose arguments must be repeated in headers, by the tool's name.
    schemas: ArcSwap<HashMap<String, Raw>>,
    dead: AtomicBool,
    /// Client sessions whose calls go over this connection.
    seated: AtomicUsize,
    /// Of one client alone, which may be asked over it.
    private: bool,
    /// The least severe log message that the server was told to send.
    level: tokio::sync::Mutex<Option<String>>,
    /// Of a modern server.
    listener: Option<Listener>,
    /// It has been given its time to leave.
    leaving: AtomicBool,
    teller: Teller,
    closing: DropGuard,
}

/// Which lists a server says it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) prompts: bool,
    pub(super) resources: bool,
    /// It tells when a resource changes.
    pub(super) updates: bool,
    pub(super) logging: bool,
}

/// How requests of ours get out.
#[derive(Clone, Debug)]
enum Way {
    Http(HttpWay),
    Lines(Pen),
    Sse(sse::SseWay),
}

/// One request as its client asked it.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) params: Option<&'a Raw>,
    /// The era of the asking client.
    pub(super) era: Era,
}

impl Link {
    /// Calls open on this connection.
    pub(super) fn busy(&self) -> usize {
        self.table.busy()
    }

    /// Client sessions whose calls go over it.
    pub(super) fn seated(&self) -> usize {
        self.seated.load(Ordering::Relaxed)
    }

    /// A client's session begins to use it, until it [rises](Self::rise).
    pub(super) fn sit(&self) {
        self.seated.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rise(&self) {
        self.seated.fetch_sub(1, Ordering::Relaxed);
    }

    /// A session that is of use is held over it.
    pub(super) fn is_held(&self) -> bool {
        self.seated() > 0 && !self.is_dead()
    }

    /// Of one client alone.
    pub(super) fn is_private(&self) -> bool {
        self.private
    }

    /// A call of this client goes over it next. Callers without a name count as one, as everywhere.
    pub(super) fn serve(&self, client: Option<&Client>) {
        if !self.private {
            self.table.serve(&client.and_then(Client::named).unwrap_or_default());
        }
    }

    /// Resolves when the server asks its client something; never on a connection that clients share.
    pub(super) async fn asks(&self) {
        until(&mut self.table.asking(), |open| open > 0).await;
    }

    /// Whether the server keeps something for each connection, or could ask a special client over it, or behave
    /// otherwise towards it.
    pub(super) fn may_keep(&self, is_special: bool) -> bool {
        match &self.way {
            _ if self.spoken.era == Era::Modern => false,
            Way::Http(way) => way.session.is_some(),
            Way::Lines(_) => is_special,
            Way::Sse(_) => true,
        }
    }

    /// Whether it is told for the first time that its place leaves.
    pub(super) fn begins_to_leave(&self) -> bool {
        !self.leaving.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Cancelled when the connection is over.
    pub(super) fn closed(&self) -> CancellationToken {
        self.closing.token().clone()
    }

    /// Has the server send log messages of this level and above.
    pub(super) async fn tune(&self, level: &str) {
        let mut known = self.level.lock().await;
        if !self.offers.logging || known.as_deref() == Some(level) {
            return;
        }
        *known = Some(level.to_owned());
        let params = raw(&serde_json::json!({ "level": level }));
        let (up, _nobody) = mpsc::channel(1);
        let asked = Asked { method: "logging/setLevel", params: Some(&params), era: Era::Legacy };
        if !matches!(tokio::time::timeout(TUNED_WITHIN, self.call(asked, &up)).await, Ok(Ok(Ok(_)))) {
            tracing::debug!(server = %self.place.server, level, "it does not take a level of log messages");
        }
    }

    /// Sends what needs no answer. One that does not get through is lost, as a notification may be.
    pub(super) async fn tell(&self, method: &str, params: Option<&RawValue>) {
        let params = params.map(|params| format!(r#","params":{}"#, params.get())).unwrap_or_default();
        let text = format!(r#"{{"jsonrpc":"2.0","method":{}{params}}}"#, string(method).get());
        let text = text.replace(['\n', '\r'], " ");
        let telling = async {
            match &self.way {
                Way::Http(way) => way.tell(text).await,
                Way::Lines(pen) => drop(pen.write(text).await),
                Way::Sse(way) => drop(way.post(text).await),
            }
        };
        if tokio::time::timeout(TOLD_WITHIN, telling).await.is_err() {
            tracing::debug!(server = %self.place.server, method, "it does not take a notification");
        }
    }

    /// What comes of it within `limit`, not counting the time in which a question of the server is with a client.
    pub(super) async fn within<T>(&self, limit: Duration, what: impl Future<Output = T>) -> Option<T> {
        let mut what = std::pin::pin!(what);
        let mut asking = self.table.asking();
        let mut left = limit;
        loop {
            let since = tokio::time::Instant::now();
            tokio::select! {
                biased;
                done = &mut what => return Some(done),
                () = until(&mut asking, |open| self.private && open > 0) => {}
                () = tokio::time::sleep(left) => return None,
            }
            left = left.saturating_sub(since.elapsed());
            tokio::select! {
                biased;
                done = &mut what => return Some(done),
                () = until(&mut asking, |open| open == 0) => {}
                () = tokio::time::sleep(QUESTION_WITHIN) => return None,
            }
        }
    }

    /// It has ended, or a call has shown that it is of no use.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed) || self.table.has_ended()
    }

    /// Closes the connection now; its open calls fail with `why`.
    pub(super) fn end(&self, why: &str) {
        self.dead.store(true, Ordering::Relaxed);
        self.table.end(why);
        self.closing.token().cancel();
    }

    /// Takes no more calls. Those that share its stream fail with `why`; a call with a request of its own over
    /// HTTP may still get its answer.
    pub(super) fn retire(&self, why: &str) {
        match &self.way {
            Way::Http(_) => self.dead.store(true, Ordering::Relaxed),
            Way::Lines(_) | Way::Sse(_) => self.end(why),
        }
    }

    /// Sends a request and waits for its answer in the downstream's own words. Dropping the future cancels it.
    pub(super) async fn call(
        &self,
        asked: Asked<'_>,
        up: &mpsc::Sender<Up>,
    ) -> Result<Result<Raw, RpcError>, Fault> {
        let outcome = self.ask(asked, up).await;
        if let Err(fault) = &outcome
            && fault.ends_link()
            && !self.dead.swap(true, Ordering::Relaxed)
        {
            self.teller.ended(fault.to_string());
        }
        outcome
    }

    async fn ask(&self, asked: Asked<'_>, up: &mpsc::Sender<Up>) -> Result<Result<Raw, RpcError>, Fault> {
        let Asked { method, params, era } = asked;
        let token = self.table.token();
        let prepared = eras::params(params, era, &self.spoken, &token)
            .map_err(|error| Fault::Unsendable(Sentence(error)))?;
        let gone = |Ended(why)| Fault::Unreachable(why);
        let call = self.table.open(token.clone(), prepared.client_token).map_err(gone)?;
        let text = request(&token, method, prepared.params.as_ref());
        let silent = || Fault::Ended("it closed the answer's stream without an answer".to_owned());
        match &self.way {
            Way::Http(way) => {
                let headers = self.standard_headers(&text, prepared.params.as_ref());
                let feed = way.post(&self.table, &self.teller, &token, headers, text);
                call.settle(up, feed, silent).await
            }
            Way::Lines(pen) => {
                let feed = async {
                    let line = text.replace(['\n', '\r'], " ");
                    let gone = |_| Fault::Unreachable("its process is gone".to_owned());
                    pen.write(line).await.map_err(gone)?;
                    std::future::pending().await
                };
                call.settle(up, feed, silent).await
            }
            Way::Sse(way) => {
                let feed = async {
                    way.post(text).await?;
                    std::future::pending().await
                };
                call.settle(up, feed, silent).await
            }
        }
    }

    /// What a modern server wants repeated in headers, and the trace.
    fn standard_headers(&self, text: &str, params: Option<&Raw>) -> HeaderMap {
        let traced = traced(params);
        let (Era::Modern, Ok(head)) = (self.spoken.era, Head::parse(text)) else { return traced };
        let schemas = self.schemas.load();
        let name = || Fields::of(params.map(AsRef::as_ref)).ok()?.get_str("name");
        let schema = if schemas.is_empty() { None } else { name().and_then(|name| schemas.get(&name)) };
        headers::of_request(&head, schema.map(|schema| schema.get()))
            .into_iter()
            .chain(traced.into_iter().filter_map(|(name, value)| Some((name?, value))))
            .collect()
    }

    /// Whether the server still answers. Any answer counts, an error too.
    pub(super) async fn is_alive(&self, within: Duration) -> bool {
        let method = match self.spoken.era {
            Era::Legacy => "ping",
            Era::Modern => "server/discover",
        };
        let (up, _nobody) = mpsc::channel(1);
        let asked = Asked { method, params: None, era: Era::Legacy };
        matches!(tokio::time::timeout(within, self.call(asked, &up)).await, Ok(Ok(_)))
    }

    /// Whether its end is noticed without asking.
    pub(super) fn tells_its_end(&self) -> bool {
        match &self.way {
            // A connection whose other side is gone without a word stays open for hours.
            Way::Http(_) | Way::Sse(_) => false,
            Way::Lines(_) => true,
        }
    }
}

/// The trace in the `_meta` of a request, for proxies on the way that look at headers alone.
fn traced(params: Option<&Raw>) -> HeaderMap {
    let fields = params.and_then(|params| Fields::parse(params.get()).ok());
    let meta = fields.as_ref().and_then(|fields| Fields::parse(fields.get("_meta")?.get()).ok());
    let mut headers = HeaderMap::new();
    for name in ["traceparent", "tracestate"] {
        let value = meta.as_ref().and_then(|meta| HeaderValue::try_from(meta.get_str(name)?).ok());
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    headers
}
