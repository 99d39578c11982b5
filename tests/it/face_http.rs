//! The face over Streamable HTTP: who is let in, and what a request must look like.

use pilothouse::mcp::{Auth, HttpSettings, authentication::StaticToken};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::stage::{ODD, Served, Stage, initialize, modern};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn post(url: &str, body: String) -> RequestBuilder {
    reqwest::Client::new()
        .post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body)
}

fn modern_post(url: &str, method: &str, name: Option<&str>, params: Value) -> RequestBuilder {
    let request = post(url, modern(1, method, params))
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    match name {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}

async fn served() -> Served {
    Served::open(Stage::with_props().0, HttpSettings::default()).await
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let served = served().await;
    let list = || modern_post(&served.url, "tools/list", None, json!({}));
    for (header, value, status) in [
        ("host", "evil.example.com", StatusCode::FORBIDDEN),
        ("origin", "http://evil.example.com", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("origin", "http://localhost:5173", StatusCode::OK),
        ("host", "localhost:1", StatusCode::OK),
    ] {
        let answer = list().header(header, value).send().await.unwrap();
        assert_eq!(answer.status(), status, "{header}: {value}");
    }
    let answer = reqwest::Client::new()
        .get(format!("{}/sse", served.origin))
        .header("host", "evil.example.com")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn without_the_token_nothing_is_answered() {
    let auth = Auth::only(StaticToken::new(TOKEN).unwrap());
    let settings = HttpSettings { auth, ..HttpSettings::default() };
    let (stage, props) = Stage::with_props();
    let served = Served::open(stage, settings).await;
    let call = || modern_post(&served.url, "tools/call", Some("odd"), json!({ "name": "odd" }));

    let answer = call().send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    let answer = call().bearer_auth("0123456789abcdef0123456789abcdee").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers()["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    let client = reqwest::Client::new();
    for request in [
        client.get(format!("{}/sse", served.origin)),
        client.post(format!("{}/messages?sessionId=x", served.origin)).body("{}"),
    ] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(props.calls(), 0);

    assert_eq!(call().bearer_auth(TOKEN).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(props.calls(), 1);
}

#[tokio::test]
async fn an_odd_answer_comes_as_it_was_to_a_legacy_client() {
    let served = served().await;
    let opened = post(&served.url, initialize(0, "2025-06-18")).send().await.unwrap();
    let session = opened.headers()["mcp-session-id"].clone();
    let send =
        |body: &str| post(&served.url, body.to_owned()).header("mcp-session-id", session.clone()).send();
    let noted = send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await.unwrap();
    assert_eq!(noted.status(), StatusCode::ACCEPTED);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"odd"}}"#;
    let text = send(call).await.unwrap().text().await.unwrap();
    assert!(text.contains(&format!(r#"data: {{"jsonrpc":"2.0","id":1,"result":{ODD}}}"#)), "{text}");
    let unknown = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"od"}}"#;
    let text = send(unknown).await.unwrap().text().await.unwrap();
    assert!(text.contains(r#""code":-32602"#), "{text}");
}

#[tokio::test]
async fn a_modern_answer_of_our_own_keeps_its_numbers() {
    let served = served().await;
    let answer = modern_post(&served.url, "tools/call", Some("odd"), json!({ "name": "odd" }));
    let text = answer.send().await.unwrap().text().await.unwrap();
    let beginning = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{},"#, ODD.trim_end_matches('}'));
    assert!(text.starts_with(&beginning), "{text}");
    assert!(text.contains(r#""resultType":"complete""#));
}

#[tokio::test]
async fn bad_requests_get_a_status_and_a_sentence() {
    let served = served().await;
    for (body, status, says) in [
        ("{\"jsonrpc\":", StatusCode::BAD_REQUEST, "the message is not JSON"),
        ("[]", StatusCode::BAD_REQUEST, "batches are not served"),
        ("{}", StatusCode::BAD_REQUEST, "`jsonrpc` must be"),
    ] {
        let answer = post(&served.url, body.to_owned()).send().await.unwrap();
        assert_eq!(answer.status(), status);
        let text = answer.text().await.unwrap();
        assert!(text.contains(says), "{text}");
    }
    let unknown = modern_post(&served.url, "unheard/of", None, json!({})).send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(unknown.text().await.unwrap().contains("-32601"));

    let crossed = modern_post(&served.url, "tools/call", Some("length"), json!({ "name": "odd" }));
    let crossed = crossed.send().await.unwrap();
    assert_eq!(crossed.status(), StatusCode::BAD_REQUEST);
    assert!(crossed.text().await.unwrap().contains("-32020"));

    let stream = reqwest::Client::new()
        .get(&served.url)
        .header("accept", "text/event-stream")
        .header("mcp-protocol-version", "2026-07-28");
    assert_eq!(stream.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_read_and_a_longer_one_refused() {
    let settings = HttpSettings { body_limit: 60_000_000, ..HttpSettings::default() };
    let served = Served::open(Stage::with_props().0, settings).await;
    let of_size = |size: usize| {
        let params = json!({ "name": "length", "arguments": { "text": "x".repeat(size) } });
        modern_post(&served.url, "tools/call", Some("length"), params).send()
    };
    let answer: Value = of_size(50_000_000).await.unwrap().json().await.unwrap();
    assert!(answer["result"]["length"].as_u64().unwrap() > 50_000_000);
    // The refusal may come before the client has sent everything; then it sees the connection close.
    if let Ok(answer) = of_size(60_000_000).await {
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_call() {
    let (stage, props) = Stage::with_props();
    let served = Served::open(stage, HttpSettings::default()).await;
    let call = modern_post(&served.url, "tools/call", Some("wait"), json!({ "name": "wait" }));
    let call = tokio::spawn(call.send());
    props.are_waiting(1).await;
    call.abort();
    props.are_waiting(0).await;
}
