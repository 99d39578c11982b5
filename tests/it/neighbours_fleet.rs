//! A thousand servers in one process: how they are connected, closed when nobody needs them, and listed all the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::post,
};
use pilothouse::gateway::{Downstream, Gateway, Kind, Prefix, Settings, State as Standing, wire::text::Head};
use tokio::runtime::Runtime;

use crate::gateway_support::{at_url, call_tool, named};

const SERVERS: usize = 1_000;
const TOOLS: usize = 10;
/// The first of them say that their lists hold for a second, the others for an hour.
const POLLED: usize = 20;
/// Handshakes, at most.
const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(120);

/// Many servers behind one port, one a path, each with ten tools.
struct Fleet {
    runtime: Option<Runtime>,
    origin: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    handshakes: AtomicUsize,
    most_handshakes: AtomicUsize,
    /// Handshakes that the other side gave up, which is seen here a moment later.
    given_up: AtomicUsize,
    deleted: AtomicUsize,
    lists: AtomicUsize,
    /// Stands in every description.
    version: AtomicUsize,
}

/// A handshake under way.
struct UnderWay<'a> {
    shared: &'a Shared,
    is_answered: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let now = shared.handshakes.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_handshakes.fetch_max(now, Ordering::SeqCst);
        Self { shared, is_answered: false }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.shared.handshakes.fetch_sub(1, Ordering::SeqCst);
        if !self.is_answered {
            self.shared.given_up.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Fleet {
    fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router = Router::new()
            .route("/{server}/mcp", post(answer).get(async || StatusCode::METHOD_NOT_ALLOWED).delete(goodbye))
            .with_state(shared.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let listener = axum::serve::ListenerExt::tap_io(listener, |io| io.set_nodelay(true).unwrap());
            axum::serve(listener, router).await.unwrap();
        });
        Self { runtime: Some(runtime), origin, shared }
    }

    fn server(&self, number: usize) -> Downstream {
        let url = format!("{}/{number}/mcp", self.origin);
        Downstream {
            prefix: Prefix::parse(&format!("s{number}")).unwrap(),
            name: named(&format!("s{number}")),
            ..at_url("s", &url)
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn goodbye(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.deleted.fetch_add(1, Ordering::SeqCst);
    StatusCode::OK
}

async fn answer(State(shared): State<Arc<Shared>>, Path(server): Path<String>, body: String) -> Response {
    let head = Head::parse(&body).unwrap();
    let Some(id) = head.id else {
        return Response::builder().status(StatusCode::ACCEPTED).body(Body::empty()).unwrap();
    };
    let json = |result: String| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.get());
        Response::builder()
            .header("content-type", "application/json")
            .header("mcp-session-id", format!("session-of-{server}"))
            .body(Body::from(text))
            .unwrap()
    };
    match head.method.as_deref().unwrap_or_default() {
        "initialize" => {
            let mut under_way = UnderWay::begin(&shared);
            tokio::time::sleep(Duration::from_millis(5)).await;
            under_way.is_answered = true;
            json(r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#.to_owned())
        }
        "tools/list" => {
            shared.lists.fetch_add(1, Ordering::SeqCst);
            let version = shared.version.load(Ordering::SeqCst);
            let tools: Vec<String> = (0..TOOLS)
                .map(|tool| format!(r#"{{"name":"t{tool}","description":"version {version}"}}"#))
                .collect();
            let ttl = if server.parse::<usize>().unwrap() < POLLED { 1_000 } else { 3_600_000 };
            json(format!(r#"{{"tools":[{}],"ttlMs":{ttl}}}"#, tools.join(",")))
        }
        "tools/call" => json(r#"{"content":[]}"#.to_owned()),
        "ping" => json("{}".to_owned()),
        _ => Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()).unwrap(),
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "not seen within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn connections(gateway: &Gateway) -> usize {
    gateway.figures().values().map(|figures| figures.connections).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_servers_are_connected_in_turns_closed_when_idle_and_listed_all_the_same() {
    let fleet = Fleet::start();
    let settings = Settings {
        idle_after: Duration::from_secs(3),
        list_between: (Duration::from_secs(1), Duration::from_secs(3600)),
        ..Settings::default()
    };
    let gateway = Gateway::with(vec![], settings);
    for number in 0..SERVERS {
        gateway.apply(fleet.server(number));
    }
    until("all tools are there", || gateway.catalogue().of_kind(Kind::Tool).count() == SERVERS * TOOLS).await;
    let most = fleet.shared.most_handshakes.load(Ordering::SeqCst);
    let given_up = fleet.shared.given_up.load(Ordering::SeqCst);
    assert!(most <= AT_ONCE + given_up, "{most} handshakes at once, and {given_up} given up");

    until("nothing is open while nobody calls", || connections(&gateway) <= POLLED).await;
    let said_goodbye = || fleet.shared.deleted.load(Ordering::SeqCst) >= SERVERS - POLLED;
    until("their sessions were ended", said_goodbye).await;
    let is_ready = gateway.observations().borrow().values().all(|seen| seen.state == Standing::Ready);
    assert!(is_ready && gateway.catalogue().of_kind(Kind::Tool).count() == SERVERS * TOOLS);

    call_tool(&gateway, "s500", "t1").await.expect("whoever calls finds it open");
    assert_eq!(gateway.figures()[&named("s500")].connections, 1);

    fleet.shared.version.store(1, Ordering::SeqCst);
    until("what changed is seen though nobody calls", || {
        let catalogue = gateway.catalogue();
        (0..POLLED).all(|number| {
            let tool = catalogue.find(Kind::Tool, &format!("s{number}_t1")).unwrap();
            tool.raw.get().contains("version 1")
        })
    })
    .await;
    gateway.shutdown(Duration::from_secs(5)).await;
}
