//! A small MCP server written by hand, without any SDK: it answers what its script says, text for text, in
//! either era. It shows faults and oddities that real servers cannot be made to show.

use std::{
    collections::HashSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::post,
};
use futures::{Stream, StreamExt};
use pilothouse::gateway::wire::{Era, text::Head};
use tokio::{
    runtime::Runtime,
    sync::{broadcast, watch},
};

/// What the script is asked: a method and its params as text (`null` when absent).
pub(crate) type Script = dyn Fn(&str, &str) -> Reply + Send + Sync;

/// Before the stream of a session opens: calls must not have come by then.
const STREAM_AFTER: Duration = Duration::from_millis(30);

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A result, as text.
    Result(String),
    /// A JSON-RPC error object, as text.
    Error(String),
    /// Notifications before the result, all in one stream of events with several data lines each. `TOKEN` in
    /// them stands for the progress token of the request.
    Stream(Vec<String>, String),
    /// A stream that is closed before the result, which comes to who asks for the rest.
    Resumed(String),
    /// A question to the client, by method and params, on the stream of the call; the result has its answer in the
    /// place of `ANSWER`. In the legacy era only.
    Ask(String, String, String),
    /// The same on the stream of the session, where it is lost unless that is open. The stream opens late.
    AskBeside(String, String, String),
    /// The body of a 200 answer of type JSON.
    Body(String),
    /// So many bytes of JSON.
    Big(usize),
    /// Half of an answer, then the connection breaks.
    Half,
    /// Nothing, ever.
    Never,
}

/// The running server. Dropping it breaks all its connections at once.
pub(crate) struct Odd {
    runtime: Option<Runtime>,
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    era: Era,
    /// What it declares, as text; a legacy one then greets with an event.
    capabilities: Option<String>,
    script: Box<Script>,
    sessions: Mutex<HashSet<String>>,
    seen: Mutex<Vec<(String, String)>>,
    changes: broadcast::Sender<()>,
    /// Messages for whoever has the stream of a session open: of that one, or of any.
    notes: broadcast::Sender<(Option<String>, String)>,
    /// What clients answered to questions.
    answers: watch::Sender<Vec<String>>,
    /// What waits for a client that comes back.
    rest: Mutex<Option<String>>,
}

impl Odd {
    pub(crate) fn start(era: Era, script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), era, script)
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        era: Era,
        script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(address, era, None, script)
    }

    /// With capabilities of its own.
    pub(crate) fn declaring(
        era: Era,
        capabilities: &str,
        script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(([127, 0, 0, 1], 0).into(), era, Some(capabilities.to_owned()), script)
    }

    fn start_with(
        address: SocketAddr,
        era: Era,
        capabilities: Option<String>,
        script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            era,
            capabilities,
            script: Box::new(script),
            sessions: Mutex::default(),
            seen: Mutex::default(),
            changes: broadcast::channel(16).0,
            notes: broadcast::channel(16).0,
            answers: watch::Sender::default(),
            rest: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router =
            Router::new().route("/mcp", post(answer).get(stream).delete(end)).with_state(shared.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let listener = axum::serve::ListenerExt::tap_io(listener, |io| io.set_nodelay(true).unwrap());
            axum::serve(listener, router).await.unwrap();
        });
        Self { runtime: Some(runtime), address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Says that its lists have changed.
    pub(crate) fn change(&self) {
        // Nobody listens yet or any more: whoever comes reads the lists anyway.
        let _ = self.shared.changes.send(());
    }

    /// Says this to every session.
    pub(crate) fn note(&self, notification: &str) {
        let _ = self.shared.notes.send((None, notification.to_owned()));
    }

    /// The params of all messages with this method.
    pub(crate) fn seen(&self, method: &str) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|(seen, _)| seen == method).map(|(_, params)| params.clone()).collect()
    }

    /// How many messages with this method have come.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.shared.seen.lock().unwrap().iter().filter(|(seen, _)| seen == method).count()
    }

    /// Forgets all sessions, as after a restart.
    pub(crate) fn forget_sessions(&self) {
        self.shared.sessions.lock().unwrap().clear();
    }
}

impl Drop for Odd {
    /// Returns when its connections are closed: a call that comes later must not meet a server that is just dying.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Apart, since one that runs tasks may not be blocked.
            let ending = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            drop(ending.join());
        }
    }
}

fn plain(status: StatusCode, text: &str) -> Response {
    Response::builder().status(status).body(Body::from(text.to_owned())).unwrap()
}

fn json(text: String) -> Response {
    Response::builder().header("content-type", "application/json").body(Body::from(text)).unwrap()
}

fn events(stream: impl Stream<Item = String> + Send + 'static) -> Response {
    let stream = stream.map(|event| Ok::<_, Infallible>(Bytes::from(event)));
    Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(stream)).unwrap()
}

/// One event whose JSON is spread over several data lines.
fn event(json: &str) -> String {
    let lines = json.replacen(',', ",\n ", 2).replace('\n', "\r\ndata: ");
    format!(":odd\r\nid: 7\r\ndata: {lines}\r\n\r\n")
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let Ok(head) = Head::parse(&body) else { return plain(StatusCode::BAD_REQUEST, "not JSON") };
    let method = head.method.as_deref().unwrap_or("(answer)").to_owned();
    let params = head.params.map_or("null", |params| params.get()).to_owned();
    shared.seen.lock().unwrap().push((method.clone(), params.clone()));
    let Some(id) = head.id.map(|id| id.get().to_owned()) else { return plain(StatusCode::ACCEPTED, "") };
    if head.method.is_none() {
        let answer = head.result.or(head.error).map_or("null", |answer| answer.get()).to_owned();
        shared.answers.send_modify(|answers| answers.push(answer));
        return plain(StatusCode::ACCEPTED, "");
    }
    let result = |result: &str| json(format!(r#"{{"id":{id},"result":{result},"jsonrpc":"2.0"}}"#));
    match (shared.era, method.as_str()) {
        (Era::Legacy, "initialize") => {
            let session = format!("s{}", shared.seen.lock().unwrap().len());
            shared.sessions.lock().unwrap().insert(session.clone());
            let usual =
                r#"{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"logging":{}}"#;
            let capabilities = shared.capabilities.as_deref().unwrap_or(usual);
            let greeting = format!(
                r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"serverInfo":{{"name":"odd","version":"1"}}}}"#
            );
            let mut response = if shared.capabilities.is_some() {
                let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{greeting}}}"#);
                events(futures::stream::iter([event(&answer)]))
            } else {
                result(&greeting)
            };
            response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
            return response;
        }
        (Era::Legacy, _) => match headers.get("mcp-session-id") {
            None => return plain(StatusCode::BAD_REQUEST, "no session"),
            Some(session) if !shared.sessions.lock().unwrap().contains(session.to_str().unwrap()) => {
                return plain(StatusCode::NOT_FOUND, "unknown session");
            }
            Some(_) => {}
        },
        (Era::Modern, "server/discover") => {
            let usual = r#"{"tools":{"listChanged":true},"prompts":{},"resources":{}}"#;
            let capabilities = shared.capabilities.as_deref().unwrap_or(usual);
            return result(&format!(
                r#"{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{capabilities},"ttlMs":0,"cacheScope":"private","_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"odd","version":"1"}}}}}}"#
            ));
        }
        (Era::Modern, "initialize") => return plain(StatusCode::NOT_FOUND, ""),
        (Era::Modern, "subscriptions/listen") => {
            let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
            let agreed = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"notifications":{{"toolsListChanged":true}},{meta}}}}}"#
            );
            let changed = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{{meta}}}}}"#
            );
            let first = futures::stream::iter([event(&agreed)]);
            return events(first.chain(changes(&shared).map(move |()| event(&changed))));
        }
        (Era::Modern, method) => assert_eq!(headers["mcp-method"], method),
    }
    if method == "ping" {
        return result("{}");
    }
    match (shared.script)(&method, &params) {
        Reply::Result(text) => result(&text),
        Reply::Error(text) => json(format!(r#"{{"jsonrpc":"2.0","error":{text},"id":{id}}}"#)),
        Reply::Stream(notes, text) => {
            let token = params
                .split_once(r#""progressToken":"#)
                .map_or("null", |(_, rest)| rest.split_once(['}', ',']).map_or("null", |(token, _)| token));
            let mut all: Vec<_> = notes.iter().map(|note| event(&note.replace("TOKEN", token))).collect();
            all.push(event(&format!(r#"{{"id":{id},"result":{text},"jsonrpc":"2.0"}}"#)));
            events(futures::stream::iter(all))
        }
        Reply::Resumed(text) => {
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{text}}}"#);
            *shared.rest.lock().unwrap() = Some(answer);
            events(futures::stream::iter(["id: 5\nretry: 10\ndata:\n\n".to_owned()]))
        }
        Reply::Ask(method, params, text) => {
            let mut answers = shared.answers.subscribe();
            let before = answers.borrow_and_update().len();
            let question = format!(r#"{{"jsonrpc":"2.0","id":"ask","method":"{method}","params":{params}}}"#);
            let answered = async move {
                let answers = answers.wait_for(|answers| answers.len() > before).await.unwrap();
                let text = text.replace("ANSWER", answers.last().unwrap());
                event(&format!(r#"{{"id":{id},"result":{text},"jsonrpc":"2.0"}}"#))
            };
            events(futures::stream::iter([event(&question)]).chain(futures::stream::once(answered)))
        }
        Reply::AskBeside(method, params, text) => {
            let session = headers["mcp-session-id"].to_str().unwrap().to_owned();
            let mut answers = shared.answers.subscribe();
            let before = answers.borrow_and_update().len();
            let question = format!(r#"{{"jsonrpc":"2.0","id":"ask","method":"{method}","params":{params}}}"#);
            let _ = shared.notes.send((Some(session), question));
            let answers = answers.wait_for(|answers| answers.len() > before).await.unwrap();
            result(&text.replace("ANSWER", answers.last().unwrap()))
        }
        Reply::Body(text) => json(text),
        Reply::Big(bytes) => {
            let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"x":""#);
            json(format!(r#"{head}{}"}}}}"#, "x".repeat(bytes)))
        }
        Reply::Half => {
            let half = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"con"#);
            let broken = [Ok(half), Err(std::io::Error::other("cut"))];
            let body = Body::from_stream(futures::stream::iter(broken));
            Response::builder().header("content-type", "application/json").body(body).unwrap()
        }
        Reply::Never => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            plain(StatusCode::OK, "")
        }
    }
}

async fn stream(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if headers.get("last-event-id").is_some_and(|id| id == "5")
        && let Some(rest) = shared.rest.lock().unwrap().take()
    {
        return events(futures::stream::iter([event(&rest)]));
    }
    if shared.era == Era::Modern {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "");
    }
    tokio::time::sleep(STREAM_AFTER).await;
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let session = headers.get("mcp-session-id").map(|session| session.to_str().unwrap().to_owned());
    let notes = futures::stream::unfold(shared.notes.subscribe(), move |mut notes| {
        let session = session.clone();
        async move {
            loop {
                let (of, note) = notes.recv().await.ok()?;
                if of.is_none() || of == session {
                    return Some((event(&note), notes));
                }
            }
        }
    });
    events(futures::stream::select(changes(&shared).map(|()| event(changed)), notes))
}

fn changes(shared: &Shared) -> impl Stream<Item = ()> + Send + 'static {
    futures::stream::unfold(shared.changes.subscribe(), |mut changes| async {
        changes.recv().await.ok().map(|()| ((), changes))
    })
}

async fn end(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.seen.lock().unwrap().push(("(end)".to_owned(), String::new()));
    StatusCode::OK
}
