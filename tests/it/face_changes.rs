//! Clients hear that their lists changed, and only then; and how everything ends.

use std::time::Duration;

use futures::StreamExt;
use pilothouse::{gateway::Kind, mcp::HttpSettings};
use serde_json::{Value, json};

use crate::stage::{Pipe, Served, Stage, modern, soon};

/// The next notification that tells of a change.
async fn told(pipe: &mut Pipe) -> String {
    let line = pipe.read().await.unwrap();
    let message: Value = serde_json::from_str(&line).unwrap();
    message["method"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_legacy_session_hears_of_its_lists() {
    let (stage, props) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.initialize().await;
    // Only once it is told does the session watch; a first change shows that it does.
    pipe.write(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    pipe.answer(1).await;
    tokio::time::timeout(Duration::from_secs(10), async {
        props.show(&[(Kind::Tool, "new")]);
        assert_eq!(told(&mut pipe).await, "notifications/tools/list_changed");
        // An equal view is not told.
        props.show(&[(Kind::Tool, "new")]);
        props.show(&[(Kind::Tool, "new"), (Kind::Prompt, "p")]);
        assert_eq!(told(&mut pipe).await, "notifications/prompts/list_changed");
        props.show(&[(Kind::Tool, "new"), (Kind::Prompt, "p"), (Kind::Resource, "r")]);
        assert_eq!(told(&mut pipe).await, "notifications/resources/list_changed");
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_modern_subscription_hears_what_it_asked_for_and_ends_with_a_result() {
    let (stage, props) = Stage::with_props();
    let served = Served::open(stage, HttpSettings::default()).await;
    let listen =
        modern(5, "subscriptions/listen", json!({ "notifications": { "promptsListChanged": true } }));
    let answer = reqwest::Client::new()
        .post(&served.url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "subscriptions/listen")
        .body(listen)
        .send()
        .await
        .unwrap();
    let events = answer.bytes_stream().filter_map(|bytes| async move {
        let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        text.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned))
    });
    let mut events = std::pin::pin!(events);
    let mut next =
        async || -> Value { serde_json::from_str(&soon("an event", events.next()).await.unwrap()).unwrap() };
    assert_eq!(next().await["method"], "notifications/subscriptions/acknowledged");

    props.show(&[(Kind::Tool, "new")]);
    props.show(&[(Kind::Tool, "new"), (Kind::Prompt, "p")]);
    let told = next().await;
    assert_eq!(told["method"], "notifications/prompts/list_changed");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 5);

    let face = served.stage.face.clone();
    let ending = tokio::spawn(async move { face.shutdown(Duration::from_secs(5)).await });
    let end = next().await;
    assert_eq!(end["id"], 5);
    assert_eq!(end["result"]["resultType"], "complete");
    soon("the end", ending).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_waits_for_open_calls_and_not_longer_than_it_may() {
    let (stage, props) = Stage::with_props();
    let mut pipe = Pipe::open(stage.face.clone());
    pipe.initialize().await;
    pipe.write(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}"#).await;
    props.are_waiting(1).await;
    soon("the end of the grace time", stage.face.shutdown(Duration::from_millis(50))).await;
}
