//! The face over HTTP+SSE, with the last rmcp that had a client for it.

use std::time::Duration;

use futures::StreamExt;
use legacy_rmcp::{ServiceExt, model::CallToolRequestParam, transport::SseClientTransport};
use pilothouse::mcp::HttpSettings;
use reqwest::StatusCode;

use crate::stage::{Served, Stage, initialize, soon};

async fn served() -> Served {
    Served::open(Stage::with_props().0, HttpSettings::default()).await
}

#[tokio::test]
async fn a_client_of_its_time_lists_and_calls() {
    let served = served().await;
    let transport = SseClientTransport::start(format!("{}/sse", served.origin)).await.unwrap();
    let client = soon("the handshake", ().serve(transport)).await.unwrap();
    assert_eq!(client.peer_info().unwrap().server_info.name, "pilothouse");
    let tools = soon("the tools", client.list_all_tools()).await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "length"));
    let call = CallToolRequestParam { name: "unheard_of".into(), arguments: None };
    let error = soon("the answer", client.call_tool(call)).await.unwrap_err();
    assert!(error.to_string().contains("there is no tool"), "{error}");
    client.cancel().await.unwrap();
}

/// An open stream and the address it gave.
async fn open(served: &Served) -> (impl futures::Stream<Item = String> + Unpin + use<>, String) {
    let answer = reqwest::get(format!("{}/sse", served.origin)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut events =
        Box::pin(answer.bytes_stream().map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap()));
    let first = soon("the endpoint", events.next()).await.unwrap();
    let address = first.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    assert!(first.contains("event: endpoint"), "{first}");
    (events, format!("{}{address}", served.origin))
}

async fn post(address: &str, body: &str) -> StatusCode {
    reqwest::Client::new().post(address).body(body.to_owned()).send().await.unwrap().status()
}

#[tokio::test]
async fn revisions_stop_before_the_modern_one() {
    let served = served().await;
    let (mut events, address) = open(&served).await;
    assert_eq!(post(&address, &initialize(1, "2026-07-28")).await, StatusCode::ACCEPTED);
    let answer = soon("the answer", events.next()).await.unwrap();
    assert!(answer.contains(r#""protocolVersion":"2025-11-25""#), "{answer}");
}

#[tokio::test]
async fn what_is_no_message_is_refused_at_once() {
    let served = served().await;
    let (_events, address) = open(&served).await;
    assert_eq!(post(&address, "{\"jsonrpc\":").await, StatusCode::BAD_REQUEST);
    assert_eq!(post(&address, "{}").await, StatusCode::BAD_REQUEST);
    let elsewhere = format!("{}/messages?sessionId=nobody", served.origin);
    assert_eq!(post(&elsewhere, &initialize(1, "2025-06-18")).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn messages_pass_the_same_door_as_the_stream() {
    let served = served().await;
    let (mut events, address) = open(&served).await;
    let send = |name: &'static str, value: &'static str| {
        let request = reqwest::Client::new().post(&address).header(name, value);
        request.body(initialize(1, "2025-06-18")).send()
    };
    for (name, value) in
        [("host", "evil.example.com"), ("origin", "http://evil.example.com"), ("origin", "null")]
    {
        assert_eq!(send(name, value).await.unwrap().status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let origin = reqwest::Client::new().get(format!("{}/sse", served.origin)).header("origin", "null");
    assert_eq!(origin.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(send("origin", "http://localhost:5173").await.unwrap().status(), StatusCode::ACCEPTED);
    let answer = soon("the answer", events.next()).await.unwrap();
    assert!(answer.contains(r#""protocolVersion":"2025-06-18""#), "{answer}");
    // The other spelling that clients of the time use.
    let other = address.replace("sessionId=", "session_id=");
    assert_eq!(post(&other, r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).await, StatusCode::ACCEPTED);
    assert!(soon("the answer", events.next()).await.unwrap().contains(r#""id":2"#));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_the_session_goes_on() {
    let settings = HttpSettings { body_limit: 10_000, ..HttpSettings::default() };
    let served = Served::open(Stage::with_props().0, settings).await;
    let (mut events, address) = open(&served).await;
    let send = |body: Vec<u8>| reqwest::Client::new().post(&address).body(body).send();
    for (body, status) in [
        (vec![b' '; 10_001], StatusCode::PAYLOAD_TOO_LARGE),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}".to_vec(), StatusCode::BAD_REQUEST),
        (Vec::new(), StatusCode::BAD_REQUEST),
        (b"[]".to_vec(), StatusCode::BAD_REQUEST),
        (b"{\"id\":1,\"id\":2,\"method\":\"ping\"}".to_vec(), StatusCode::BAD_REQUEST),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(send(body).await.unwrap().status(), status, "{shown}");
    }
    for query in ["", "?sessionId=", "?sessionId=..%2F..", "?other=1"] {
        let at = format!("{}/messages{query}", served.origin);
        assert!(post(&at, "{}").await.is_client_error(), "{query}");
    }
    assert_eq!(post(&address, &initialize(1, "2025-06-18")).await, StatusCode::ACCEPTED);
    assert!(soon("the answer", events.next()).await.unwrap().contains(r#""id":1"#));
}

#[tokio::test]
async fn a_session_ends_with_its_stream() {
    let served = served().await;
    let (events, address) = open(&served).await;
    drop(events);
    let gone = async {
        while post(&address, &initialize(1, "2025-06-18")).await != StatusCode::NOT_FOUND {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the end of the session", gone).await;
}

#[tokio::test]
async fn an_idle_session_ends() {
    let settings = HttpSettings { sse_idle: Duration::from_millis(50), ..HttpSettings::default() };
    let served = Served::open(Stage::with_props().0, settings).await;
    let (mut events, address) = open(&served).await;
    assert!(soon("the end of the stream", events.next()).await.is_none());
    let gone = async {
        while post(&address, &initialize(1, "2025-06-18")).await != StatusCode::NOT_FOUND {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the end of the session", gone).await;
}
