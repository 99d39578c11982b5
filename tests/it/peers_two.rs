//! Two replicas are one server: whichever of them a request reaches, and whichever of them ends.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures::StreamExt;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    peers_stage::{Legacy, Set, Turns, address, drain, modern, plain, until},
    program::DEADLINE,
};

/// Reads a stream until it has said `wanted`.
async fn heard(stream: Response, wanted: &str) -> String {
    let mut pieces = stream.bytes_stream();
    let mut text = String::new();
    let reading = async {
        while let Some(piece) = pieces.next().await {
            text.push_str(&String::from_utf8_lossy(&piece.unwrap()));
            if text.contains(wanted) {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.unwrap_or_else(|_| panic!("{wanted} was not said: {text}"));
    assert!(text.contains(wanted), "{text}");
    text
}

#[tokio::test]
async fn a_session_is_served_by_whichever_replica_its_requests_reach() {
    let set = Set::new();
    let (a, b) = (set.start(0).await, set.start(1).await);
    let client = Legacy::open(&a.origin).await;
    assert!(client.session.len() < 1_000 && client.session.is_ascii());
    for origin in [&a.origin, &b.origin, &a.origin, &b.origin] {
        let answer = client.call(origin, "one_fast").await.unwrap();
        assert_eq!(answer["result"]["content"][0]["text"], "done");
    }
    let stream = client.listen(&b.origin).await;
    assert_eq!(stream.status(), StatusCode::OK);
    let unlike = Legacy { session: format!("{}x", &client.session[1..]) };
    assert_eq!(unlike.listen(&b.origin).await.status(), StatusCode::NOT_FOUND);

    // HTTP+SSE: the stream at one replica, a message at the other.
    let mut sse = plain(Method::GET, format!("{}/sse", a.origin)).send().await.unwrap().bytes_stream();
    let first = String::from_utf8(sse.next().await.unwrap().unwrap().to_vec()).unwrap();
    let path = first.lines().find_map(|line| line.strip_prefix("data: ")).unwrap().to_owned();
    let hello = json!({ "jsonrpc": "2.0", "id": 3, "method": "initialize", "params": {
        "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "it", "version": "1" } } });
    let posted =
        plain(Method::POST, format!("{}{path}", b.origin)).body(hello.to_string()).send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::ACCEPTED);
    let answer = tokio::time::timeout(DEADLINE, async {
        loop {
            let piece = String::from_utf8(sse.next().await.unwrap().unwrap().to_vec()).unwrap();
            if piece.contains("serverInfo") {
                return piece;
            }
        }
    });
    assert!(answer.await.unwrap().contains(r#""id":3"#));

    assert_eq!(client.end(&b.origin).await, StatusCode::NO_CONTENT);
    for origin in [&a.origin, &b.origin] {
        assert!(client.call(origin, "one_fast").await.unwrap_err().starts_with("404"), "it has ended");
    }
    // Nobody without the key gets anything done at the port between them.
    for path in ["request", "hello", "lists"] {
        let url = format!("{}/peers/{path}", a.health);
        let strange = plain(Method::POST, url).header("pilothouse-letter", "x").send().await.unwrap();
        assert_eq!(strange.status(), StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_killed_replica_takes_its_open_calls_along_and_nothing_else() {
    let set = Set::new();
    let (a, b) = (set.start(0).await, set.start(1).await);
    let client = Arc::new(Legacy::open(&a.origin).await);
    let (waiting, at_b) = (client.clone(), b.origin.clone());
    let before = set.server.count("tools/call");
    let open = tokio::spawn(async move { waiting.call(&at_b, "one_slow").await });
    until("the call is open", async || set.server.count("tools/call") > before).await;
    drop(a);
    let lost = tokio::time::timeout(DEADLINE, open).await.unwrap().unwrap().unwrap();
    assert_eq!(lost["error"]["data"]["retryable"], true, "{lost}");

    // The session goes on at the other one; many requests at once make it again once.
    let calls = (0..8).map(|_| client.call(&b.origin, "one_fast"));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap()["result"]["content"][0]["text"], "done");
    }
    let told = heard(client.listen(&b.origin).await, "subscribe to resources again").await;
    assert!(told.contains("notifications/tools/list_changed"), "{told}");

    // Who comes into the place of the killed one knows the tools before it is asked, and where the session is.
    let again = set.start(0).await;
    let answer = client.call(&again.origin, "one_fast").await.unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "done");
    let made = b.said().matches("the session goes on here").count();
    assert_eq!((made, again.said().matches("the session goes on here").count()), (1, 0));
}

/// What clients that call all the time have met.
#[derive(Default)]
struct Met {
    answers: AtomicUsize,
    /// What a legacy client got instead of an answer.
    lost: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Met {
    /// A few answers more have come to each client.
    async fn goes_on(&self) {
        let before = self.answers.load(Ordering::Relaxed);
        until("calls go on", async || self.answers.load(Ordering::Relaxed) > before + 40).await;
    }

    fn count(&self, answer: Result<Value, String>) {
        match answer {
            Ok(answer) if answer["result"]["content"][0]["text"] == "done" => {
                self.answers.fetch_add(1, Ordering::Relaxed);
            }
            Ok(other) => self.lost.lock().unwrap().push(other.to_string()),
            Err(why) => self.lost.lock().unwrap().push(why),
        }
    }
}

async fn calls_of_a_legacy_client(origin: String, met: Arc<Met>) {
    let client = Legacy::open(&origin).await;
    while !met.is_over.load(Ordering::Relaxed) {
        met.count(client.call(&origin, "one_fast").await);
    }
}

/// As HTTP clients do, it sends again what is safe to send again when its connection is lost.
async fn calls_of_a_modern_client(origin: String, met: Arc<Met>) {
    while !met.is_over.load(Ordering::Relaxed) {
        let mut answer = modern(&origin, "tools/call", json!({ "name": "one_fast" })).await;
        if answer.is_err() {
            answer = modern(&origin, "tools/call", json!({ "name": "one_fast" })).await;
        }
        met.count(answer);
    }
}

#[tokio::test]
async fn replicas_can_be_drained_rolled_and_killed_under_load() {
    const LEGACY: usize = 3;
    let set = Set::new();
    let (a, b) = (set.start(0).await, set.start(1).await);
    let turns = Turns::between(vec![address(&a), address(&b)]).await;
    let (legacy, newest) = (Arc::new(Met::default()), Arc::new(Met::default()));
    let mut clients: Vec<_> = (0..LEGACY)
        .map(|_| tokio::spawn(calls_of_a_legacy_client(turns.origin.clone(), legacy.clone())))
        .collect();
    clients.push(tokio::spawn(calls_of_a_modern_client(turns.origin.clone(), newest.clone())));
    let go_on = async || {
        legacy.goes_on().await;
        newest.goes_on().await;
    };
    go_on().await;

    // Both are rolled, one after the other, as a Deployment does: a pod that leaves gets no new connections. Its
    // sessions are still its own until it is told to stop.
    turns.change(&[&b]);
    go_on().await;
    drain(a).await;
    go_on().await;
    let a = set.start(0).await;
    turns.change(&[&a, &b]);
    go_on().await;
    turns.change(&[&a]);
    go_on().await;
    drain(b).await;
    go_on().await;
    let b = set.start(1).await;
    turns.change(&[&a, &b]);
    go_on().await;
    assert_eq!(*legacy.lost.lock().unwrap(), Vec::<String>::new(), "nobody loses anything by a rollout");

    drop(a);
    go_on().await;
    for met in [&legacy, &newest] {
        met.is_over.store(true, Ordering::Relaxed);
    }
    for client in clients {
        tokio::time::timeout(DEADLINE, client).await.unwrap().unwrap();
    }
    let lost = legacy.lost.lock().unwrap().clone();
    assert!(lost.len() <= LEGACY, "at most the call that each had open: {lost:?}");
    assert_eq!(*newest.lost.lock().unwrap(), Vec::<String>::new());
    drop(b);
}
