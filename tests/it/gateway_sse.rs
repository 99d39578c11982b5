//! Downstreams that speak HTTP+SSE: where their messages go, and how they come back.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response, Sse, sse::Event},
    routing::{get, post},
};
use futures::{StreamExt, stream};
use pilothouse::gateway::{Downstream, Gateway, State as Standing, Target, Transport};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::gateway_support::{at_url, call_tool, observed, of, ready, tool_error, wait_for};

/// How a server names the address of its messages; `{n}` stands for the session.
type Endpoint = fn(SocketAddr) -> String;

struct Shared {
    address: SocketAddr,
    endpoint: Endpoint,
    streams: Mutex<HashMap<usize, mpsc::UnboundedSender<String>>>,
    opened: AtomicUsize,
    /// Messages that came here and had another path than the server said, or no credential.
    astray: AtomicUsize,
    hanging: AtomicUsize,
}

/// A server with the tools `session` (answers the number of its stream), `hang` (never answers).
struct Old(Arc<Shared>);

impl Old {
    async fn start(endpoint: Endpoint) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            endpoint,
            streams: Mutex::default(),
            opened: AtomicUsize::new(0),
            astray: AtomicUsize::new(0),
            hanging: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/deep/sse", get(open))
            .route("/deep/messages", post(message))
            .route("/messages", post(message))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self(shared)
    }

    fn downstream(&self) -> Downstream {
        let target = Target::Url {
            url: format!("http://{}/deep/sse", self.0.address).parse().unwrap(),
            host_header: None,
            headers: vec![("x-key".parse().unwrap(), "secret".parse().unwrap())],
            authorities: None,
        };
        of("old", Transport::Sse, target)
    }

    /// Ends all streams, as a restart does.
    fn cut(&self) {
        self.0.streams.lock().unwrap().clear();
    }
}

async fn open(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if headers.get("x-key").is_none_or(|key| key != "secret") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let number = shared.opened.fetch_add(1, Ordering::Relaxed) + 1;
    let (sender, receiver) = mpsc::unbounded_channel();
    shared.streams.lock().unwrap().insert(number, sender);
    let endpoint = (shared.endpoint)(shared.address).replace("{n}", &number.to_string());
    let first = stream::iter([
        Event::default().comment("a word before"),
        Event::default().event("endpoint").data(endpoint),
    ]);
    let rest = stream::unfold(receiver, |mut receiver| async {
        let text = receiver.recv().await?;
        Some((Event::default().event("message").data(text), receiver))
    });
    Sse::new(first.chain(rest).map(Ok::<_, Infallible>)).into_response()
}

async fn message(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, usize>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if headers.get("x-key").is_none_or(|key| key != "secret") {
        shared.astray.fetch_add(1, Ordering::Relaxed);
        return StatusCode::UNAUTHORIZED;
    }
    let number = query["n"];
    let Some(stream) = shared.streams.lock().unwrap().get(&number).cloned() else {
        return StatusCode::NOT_FOUND;
    };
    let message: Value = serde_json::from_slice(&body).unwrap();
    let Some(id) = message.get("id") else { return StatusCode::ACCEPTED };
    let result = match (message["method"].as_str(), message["params"]["name"].as_str()) {
        (Some("initialize"), _) => {
            let server = json!({ "name": "old", "version": "1" });
            json!({ "protocolVersion": "2024-11-05", "capabilities": { "tools": {} }, "serverInfo": server })
        }
        (Some("tools/list"), _) => json!({ "tools": [{ "name": "session" }, { "name": "hang" }] }),
        (Some("tools/call"), Some("session")) => json!({ "session": number }),
        (Some("tools/call"), _) => {
            shared.hanging.fetch_add(1, Ordering::Relaxed);
            return StatusCode::ACCEPTED;
        }
        _ => json!({}),
    };
    // The answer may come before the message is said to be taken.
    let _ = stream.send(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string());
    StatusCode::ACCEPTED
}

async fn session(gateway: &Gateway) -> Option<u64> {
    let answer = call_tool(gateway, "old", "session").await.ok()?;
    serde_json::from_str::<Value>(answer.get()).unwrap()["session"].as_u64()
}

#[tokio::test]
async fn an_endpoint_may_be_given_in_every_way_that_urls_have() {
    let ways: [Endpoint; 5] = [
        |_| "/deep/messages?n={n}".to_owned(),
        |_| "messages?n={n}".to_owned(),
        |_| "../messages?n={n}".to_owned(),
        |address| format!("http://{address}/messages?n={{n}}"),
        |address| format!("//{address}/deep/messages?n={{n}}"),
    ];
    for way in ways {
        let old = Old::start(way).await;
        let gateway = Gateway::new(vec![]);
        gateway.apply(old.downstream());
        let seen = ready(&gateway, "old").await;
        assert_eq!(seen.server.unwrap().protocol_version, "2024-11-05");
        assert_eq!(session(&gateway).await, Some(1));
        assert_eq!(old.0.astray.load(Ordering::Relaxed), 0);
    }
}

/// Its credentials must not go where a server that was taken over wants them.
#[tokio::test]
async fn an_endpoint_elsewhere_is_refused() {
    let ways: [(Endpoint, &str); 4] = [
        (|_| "http://evil.example/messages?n={n}".to_owned(), "http://evil.example"),
        (|address| format!("http://localhost:{}/messages?n={{n}}", address.port()), "http://localhost"),
        (|address| format!("https://{address}/messages?n={{n}}"), "https://127.0.0.1"),
        (|_| "file:///etc/passwd".to_owned(), "elsewhere"),
    ];
    for (way, named) in ways {
        let old = Old::start(way).await;
        let gateway = Gateway::new(vec![]);
        gateway.apply(old.downstream());
        let reason = wait_for("the reason", || match observed(&gateway, "old")?.state {
            Standing::Unreachable { reason } => Some(reason),
            _ => None,
        })
        .await;
        assert!(reason.contains("the endpoint it named is elsewhere") && reason.contains(named), "{reason}");
        assert_eq!(old.0.astray.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn a_stream_that_ends_fails_its_calls_and_is_opened_again() {
    let old = Old::start(|_| "/messages?n={n}".to_owned()).await;
    let gateway = Gateway::new(vec![]);
    gateway.apply(old.downstream());
    ready(&gateway, "old").await;
    assert_eq!(session(&gateway).await, Some(1));
    let cut = async {
        wait_for("the call is under way", || (old.0.hanging.load(Ordering::Relaxed) > 0).then_some(())).await;
        old.cut();
    };
    let (hanging, ()) = tokio::join!(call_tool(&gateway, "old", "hang"), cut);
    let error = tool_error(hanging);
    assert!(error.contains("ended during the call"), "{error}");
    assert_eq!(session(&gateway).await, Some(2), "the next call goes over the next stream");
}

#[tokio::test]
async fn a_server_that_forgot_the_session_is_connected_to_again() {
    let old = Old::start(|_| "/messages?n={n}".to_owned()).await;
    let gateway = Gateway::new(vec![]);
    gateway.apply(old.downstream());
    ready(&gateway, "old").await;
    // Its stream stays open, which tells nothing; a message is answered with 404.
    let kept = old.0.streams.lock().unwrap().remove(&1).unwrap();
    assert_eq!(session(&gateway).await, Some(2), "it was not done the first time, so it is asked again");
    drop(kept);
}

#[tokio::test]
async fn what_is_no_such_server_is_said() {
    let old = Old::start(|_| "/messages?n={n}".to_owned()).await;
    let gateway = Gateway::new(vec![]);
    let mut without_key = at_url("old", &format!("http://{}/deep/sse", old.0.address));
    without_key.transport = Transport::Sse;
    let mut elsewhere = at_url("other", &format!("http://{}/nowhere", old.0.address));
    elsewhere.transport = Transport::Sse;
    gateway.apply(without_key);
    gateway.apply(elsewhere);
    for (name, status) in [("old", "HTTP 401"), ("other", "HTTP 404")] {
        let reason = wait_for("the reason", || match observed(&gateway, name)?.state {
            Standing::Unreachable { reason } => Some(reason),
            _ => None,
        })
        .await;
        assert!(reason.contains(status), "{reason}");
    }
}
