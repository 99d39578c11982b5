//! Whom a door turns away is on record: who and why as far as that is known, and however many, few lines.

use std::{fs, sync::Arc};

use pilothouse::{
    audit::{Audit, REFUSED},
    caller::{Caller, Proof},
    gateway::Gateway,
    mcp::{
        self, Auth, Face, HttpSettings,
        authentication::{Methods, StaticToken, StaticTokens},
    },
};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::stage::{Props, initialize};

const ANN: &str = "0123456789abcdef0123456789abcde1";
const BOB: &str = "0123456789abcdef0123456789abcde2";

fn auth() -> Auth {
    let mut tokens = StaticTokens::default();
    for (user, token) in [("ann", ANN), ("bob", BOB)] {
        let caller = Caller { user: user.to_owned(), proof: Proof::MappedToken, ..Caller::process() };
        tokens.add(StaticToken::new(token).unwrap(), caller).unwrap();
    }
    Auth::Bearer(Methods { tokens, ..Methods::default() }.into())
}

#[tokio::test]
async fn refusals_are_on_record_and_a_flood_of_them_is_a_count() {
    let data = tempfile::tempdir().unwrap();
    let audit = Audit::open(data.path()).unwrap();
    let props = Arc::new(Props::new());
    let gateway = Arc::new(Gateway::new(Vec::new()));
    let face = Face::showing(props.catalogue.subscribe(), gateway, props.clone(), audit.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let router = mcp::http::router(face, HttpSettings { auth: auth(), ..HttpSettings::default() });
    tokio::spawn(mcp::listener::serve(listener, router, stop.clone()));

    let client = Client::new();
    let post = |token: &str| {
        client
            .post(format!("{origin}/mcp"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .bearer_auth(token)
            .body(initialize(0, "2025-06-18"))
    };
    let status = async |request: RequestBuilder| request.send().await.unwrap().status();
    for number in 0..300 {
        assert_eq!(status(post(&format!("wrong-{number}"))).await, StatusCode::UNAUTHORIZED);
    }
    let nowhere = client.get(format!("{origin}/a-path-of-{}", "x".repeat(99)));
    assert_eq!(status(nowhere.header("host", "evil.example.com")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(post(ANN).header("origin", "https://evil.example.com")).await, StatusCode::FORBIDDEN);
    let opened = post(ANN).send().await.unwrap();
    let session = opened.headers()["mcp-session-id"].clone();
    assert_eq!(status(post(BOB).header("mcp-session-id", session)).await, StatusCode::NOT_FOUND);
    stop.cancel();
    audit.close().await.unwrap();

    let text = fs::read_to_string(audit.path()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refused: Vec<&Value> = lines.iter().filter(|line| line["action"] == REFUSED).collect();
    let told = |line: &&Value| {
        let word = |name: &str| line["facts"][name].as_str().unwrap_or_default().to_owned();
        let [caller, door] = ["caller", "target"].map(|name| line[name].as_str().unwrap().to_owned());
        (caller, door, word("reason"), word("peer"), word("count"))
    };
    let line = |caller: &str, door: &str, reason: &str, count: &str| {
        let [caller, door, reason, peer, count] =
            [caller, door, reason, "127.0.0.1", count].map(str::to_owned);
        (caller, door, reason, peer, count)
    };
    assert_eq!(
        refused.iter().map(told).collect::<Vec<_>>(),
        [
            line("unknown", "/mcp", "invalid-token", ""),
            line("unknown", "elsewhere", "host-or-origin", ""),
            line("unknown", "/mcp", "host-or-origin", ""),
            line("bob", "/mcp", "foreign-session", ""),
            line("unknown", "/mcp", "invalid-token", "299"),
        ],
        "{text}"
    );
    assert!(!text.contains("wrong-") && !text.contains(ANN), "{text}");
    assert_eq!(refused[3]["proof"], json!("mappedToken"));
}
