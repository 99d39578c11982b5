//! A server that is good until it is told to be bad, and good again when it is told so: its one tool is `work`.

use std::{
    collections::HashSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
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
use futures::StreamExt;
use pilothouse::gateway::wire::text::Head;
use tokio::{runtime::Runtime, sync::watch};

/// In which way it is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It has forgotten its sessions, and opens no other.
    HangsInInitialize,
    HangsOnList,
    HangsOnCall,
    /// It answers a call after so many milliseconds.
    Late(u64),
    /// 405 for the GET stream.
    NoStream,
    DropsSessions,
    /// As many notifications on the stream, and on each answer, as fit.
    Floods,
    /// A result of so many bytes.
    Large(usize),
    Garbage,
    /// Another description of its tool at each list.
    Redefines,
    DiesMidStream,
    /// The answer to another request.
    OtherId,
}

/// The running server, in a runtime of its own; it ends when it is dropped.
pub(crate) struct Hostile {
    runtime: Option<Runtime>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    fault: watch::Sender<Fault>,
    sessions: Mutex<HashSet<String>>,
    lists: AtomicUsize,
}

impl Hostile {
    pub(crate) fn start() -> Self {
        let fault = watch::Sender::new(Fault::None);
        let shared = Arc::new(Shared { fault, sessions: Mutex::default(), lists: AtomicUsize::new(0) });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router = Router::new()
            .route("/mcp", post(answer).get(stream).delete(async || StatusCode::OK))
            .with_state(shared.clone());
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

    pub(crate) fn turn(&self, fault: Fault) {
        self.shared.fault.send_replace(fault);
    }

    pub(crate) fn lists(&self) -> usize {
        self.shared.lists.load(Ordering::SeqCst)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn of(status: StatusCode, kind: &str, body: Body) -> Response {
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}

fn json(text: String) -> Response {
    of(StatusCode::OK, "application/json", Body::from(text))
}

const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let fault = *shared.fault.borrow();
    let head = Head::parse(&body).unwrap();
    let method = head.method.as_deref().unwrap_or_default().to_owned();
    let Some(id) = head.id.map(|id| id.get().to_owned()) else {
        return of(StatusCode::ACCEPTED, "text/plain", Body::empty());
    };
    let result = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let never = std::future::pending::<Response>;
    if fault == Fault::HangsInInitialize {
        shared.sessions.lock().unwrap().clear();
    }
    if method == "initialize" && fault == Fault::HangsInInitialize {
        return never().await;
    }
    if method == "initialize" {
        let mut sessions = shared.sessions.lock().unwrap();
        let session = format!("s{}", sessions.len());
        sessions.insert(session.clone());
        let mut response = json(result(
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"hostile","version":"1"}}"#,
        ));
        response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
        return response;
    }
    let session = headers.get("mcp-session-id").map(|session| session.to_str().unwrap().to_owned());
    if session.is_none_or(|session| !shared.sessions.lock().unwrap().contains(&session)) {
        return of(StatusCode::NOT_FOUND, "text/plain", Body::from("unknown session"));
    }
    match (method.as_str(), fault) {
        ("tools/list", Fault::HangsOnList) => never().await,
        ("tools/list", _) => {
            let number = shared.lists.fetch_add(1, Ordering::SeqCst);
            let version = if fault == Fault::Redefines { number } else { 0 };
            json(result(&format!(r#"{{"tools":[{{"name":"work","description":"version {version}"}}]}}"#)))
        }
        ("tools/call", Fault::HangsOnCall) => never().await,
        ("tools/call", Fault::Late(ms)) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            json(result(r#"{"content":[]}"#))
        }
        ("tools/call", Fault::DropsSessions) => {
            shared.sessions.lock().unwrap().clear();
            of(StatusCode::NOT_FOUND, "text/plain", Body::from("unknown session"))
        }
        ("tools/call", Fault::Floods) => {
            let note = format!("data: {CHANGED}\n\n");
            let all = note.repeat(500) + &format!("data: {}\n\n", result(r#"{"content":[]}"#));
            of(StatusCode::OK, "text/event-stream", Body::from(all))
        }
        ("tools/call", Fault::Large(bytes)) => json(result(&format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes)))),
        ("tools/call", Fault::Garbage) => json("{\"jsonrpc\": <oops>".to_owned()),
        ("tools/call", Fault::DiesMidStream) => {
            let begun = Ok::<_, std::io::Error>(Bytes::from_static(b"data: {\"jsonrpc\":\"2.0\",\"id\""));
            let broken = futures::stream::iter([begun, Err(std::io::Error::other("cut"))]);
            of(StatusCode::OK, "text/event-stream", Body::from_stream(broken))
        }
        ("tools/call", Fault::OtherId) => json(r#"{"jsonrpc":"2.0","id":"other","result":{}}"#.to_owned()),
        ("tools/call", _) => json(result(r#"{"content":[]}"#)),
        _ => json(result("{}")),
    }
}

/// Says that something changed, once when it turns bad, or without end.
async fn stream(State(shared): State<Arc<Shared>>) -> Response {
    let mut fault = shared.fault.subscribe();
    if *fault.borrow_and_update() == Fault::NoStream {
        return of(StatusCode::METHOD_NOT_ALLOWED, "text/plain", Body::empty());
    }
    let events = futures::stream::unfold(fault, |mut fault| async {
        let now = *fault.borrow_and_update();
        match now {
            Fault::Floods => tokio::task::yield_now().await,
            Fault::Redefines => tokio::time::sleep(Duration::from_millis(20)).await,
            Fault::NoStream => return None,
            _ => fault.changed().await.ok()?,
        }
        Some((Ok::<_, Infallible>(Bytes::from(format!("data: {CHANGED}\n\n"))), fault))
    });
    of(StatusCode::OK, "text/event-stream", Body::from_stream(events.boxed()))
}
