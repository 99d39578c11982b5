//! What a client says unasked reaches the servers that know this very client, over each transport.

use std::sync::Arc;

use futures::StreamExt;
use pilothouse::{
    gateway::{Gateway, wire::Era},
    mcp::HttpSettings,
    tools::Toolbox,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, ready, wait_for},
    stage::{Pipe, Served, Stage, soon},
};

const CHANGED: &str = "notifications/roots/list_changed";
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one_hello"}}"#;

/// A face before one server that keeps a session for each client.
async fn stage() -> (Stage, Odd) {
    let server = Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"hello"}]}"#.to_owned()),
        _ => Reply::Result(r#"{"content":[]}"#.to_owned()),
    });
    let gateway = Arc::new(Gateway::new(Vec::new()));
    gateway.apply(at_url("one", &server.url()));
    ready(&gateway, "one").await;
    let catalogues = gateway.catalogues();
    (Stage::over(gateway, Arc::new(Toolbox::default()), catalogues), server)
}

fn note(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

fn hello() -> String {
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": { "roots": { "listChanged": true } },
        "clientInfo": { "name": "it", "version": "1" } });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string()
}

async fn piped(stage: &Stage) -> Pipe {
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.write(&hello()).await;
    pipe.answer(0).await;
    pipe.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    pipe
}

#[tokio::test]
async fn over_a_pipe() {
    let (stage, server) = stage().await;
    let (mut pipe, mut other) = (piped(&stage).await, piped(&stage).await);
    for pipe in [&mut pipe, &mut other] {
        pipe.write(CALL).await;
        assert_eq!(pipe.answer(1).await["result"]["content"], json!([]));
    }
    pipe.write(&note(CHANGED, &json!({}))).await;
    wait_for("the server hears of it", || (server.count(CHANGED) > 0).then_some(())).await;
    let odd = json!({ "_meta": { "shop/a": 1 }, "n": [2.5, null] });
    other.write(&note("notifications/shop/moved", &odd)).await;
    wait_for("what nobody knows", || (server.count("notifications/shop/moved") > 0).then_some(())).await;
    let seen: Value = serde_json::from_str(&server.seen("notifications/shop/moved")[0]).unwrap();
    assert_eq!(seen, odd);
    assert_eq!(
        (server.count(CHANGED), server.count("notifications/shop/moved")),
        (1, 1),
        "each said it once"
    );
}

#[tokio::test]
async fn over_streamable_http() {
    let (stage, server) = stage().await;
    let served = Served::open(stage, HttpSettings::default()).await;
    let post = async |session: Option<&str>, body: String| {
        let mut request = reqwest::Client::new()
            .post(&served.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body);
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        soon("an answer", request.send()).await.unwrap()
    };
    let opened = post(None, hello()).await;
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let ready = post(Some(&session), note("notifications/initialized", &json!({}))).await;
    assert_eq!(ready.status(), StatusCode::ACCEPTED);
    let called = post(Some(&session), CALL.to_owned()).await.text().await.unwrap();
    assert!(called.contains(r#""content":[]"#), "{called}");
    assert_eq!(post(Some(&session), note(CHANGED, &json!({}))).await.status(), StatusCode::ACCEPTED);
    wait_for("the server hears of it", || (server.count(CHANGED) == 1).then_some(())).await;
}

#[tokio::test]
async fn over_http_with_sse() {
    let (stage, server) = stage().await;
    let served = Served::open(stage, HttpSettings::default()).await;
    let stream = reqwest::get(format!("{}/sse", served.origin)).await.unwrap().bytes_stream();
    let mut stream = std::pin::pin!(stream);
    let mut text = String::new();
    let mut heard = async |wanted: &str| {
        while !text.contains(wanted) {
            let piece = soon(wanted, stream.next()).await.unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        text.clone()
    };
    let first = heard("\n\n").await;
    let path = first.lines().find_map(|line| line.strip_prefix("data: ")).unwrap().to_owned();
    let post = async |body: String| {
        let url = format!("{}{path}", served.origin);
        let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body);
        assert_eq!(soon("an answer", request.send()).await.unwrap().status(), StatusCode::ACCEPTED);
    };
    post(hello()).await;
    heard("serverInfo").await;
    post(note("notifications/initialized", &json!({}))).await;
    post(CALL.to_owned()).await;
    heard(r#""content":[]"#).await;
    post(note(CHANGED, &json!({}))).await;
    wait_for("the server hears of it", || (server.count(CHANGED) == 1).then_some(())).await;
}
