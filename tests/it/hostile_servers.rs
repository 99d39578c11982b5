//! What servers over HTTP answer when they are broken or mean to be: that call has an error that names the server, and the
//! next one is answered.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
    response::Response,
    routing::post,
};
use pilothouse::gateway::{
    Gateway,
    wire::{
        Era,
        rejected::Reason::{self, Batch, InvalidJson, TooLarge, UnknownId, WrongShape},
        text::{Fields, Head},
    },
};

use crate::{
    gateway_support::{ask, at_url, call_tool, ready, tool_error},
    hostile_answers::ANSWERS,
};

/// How the body of an answer comes.
#[derive(Clone, Copy, Debug)]
enum As {
    Json,
    /// As one event.
    Event,
    /// With this status and type.
    Status(u16, &'static str),
    /// In two pieces, then the connection breaks.
    Cut(&'static str),
    /// As an event stream, the text as it is.
    Stream,
}

/// `ID` in the text stands for the id of the request.
type Answer = (As, Vec<u8>);

struct Script {
    era: Era,
    answers: Vec<Answer>,
    calls: AtomicUsize,
}

/// Its tools: `work`, and `bad`, which answers by the script.
async fn start(era: Era, answers: Vec<Answer>) -> SocketAddr {
    let script = Arc::new(Script { era, answers, calls: AtomicUsize::new(0) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/mcp", post(answer)).with_state(script);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn of(status: u16, kind: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    if !kind.is_empty() {
        response = response.header("content-type", kind);
    }
    response.body(body.into()).unwrap()
}

async fn answer(State(script): State<Arc<Script>>, body: String) -> Response {
    let head = Head::parse(&body).unwrap();
    let Some(id) = head.id.map(|id| id.get().to_owned()) else { return of(202, "", "") };
    let result = |result: &str| {
        of(200, "application/json", format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
    };
    match (head.method.as_deref().unwrap_or_default(), script.era) {
        ("initialize", Era::Legacy) => result(
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bad","version":"1"}}"#,
        ),
        ("server/discover", Era::Modern) => result(
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#,
        ),
        ("tools/list", _) => result(
            r#"{"resultType":"complete","ttlMs":600000,"cacheScope":"private","tools":[{"name":"work","inputSchema":{"type":"object"}},{"name":"bad","inputSchema":{"type":"object"}}]}"#,
        ),
        ("tools/call", _) => {
            let name = Fields::of(head.params).unwrap().get_str("name").unwrap();
            if name == "work" {
                return result(r#"{"resultType":"complete","content":[],"worked":true}"#);
            }
            let number = script.calls.fetch_add(1, Ordering::SeqCst);
            let (how, text) = &script.answers[number];
            bad(*how, replaced(text, &id))
        }
        _ => of(404, "text/plain", "nothing here"),
    }
}

fn replaced(text: &[u8], id: &str) -> Vec<u8> {
    let Some(at) = text.windows(2).position(|two| two == b"ID") else { return text.to_vec() };
    [&text[..at], id.as_bytes(), &text[at + 2..]].concat()
}

fn bad(how: As, text: Vec<u8>) -> Response {
    match how {
        As::Json => of(200, "application/json", text),
        As::Event => of(200, "text/event-stream", [b"data: ".as_slice(), &text, b"\n\n"].concat()),
        As::Stream => of(200, "text/event-stream", text),
        As::Status(status, kind) => of(status, kind, text),
        As::Cut(kind) => {
            let broken = [Ok(Bytes::from(text)), Err(std::io::Error::other("cut"))];
            of(StatusCode::OK.as_u16(), kind, Body::from_stream(futures::stream::iter(broken)))
        }
    }
}

fn count(gateway: &Gateway, reason: Reason) -> u64 {
    gateway.rejections().of(reason)
}

/// Calls `bad` once for each answer, and `work` after each.
async fn outlives(era: Era, answers: Vec<(As, Vec<u8>, Option<Reason>)>) {
    let script = answers.iter().map(|(how, text, _)| (*how, text.clone())).collect();
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("bad", &format!("http://{}/mcp", start(era, script).await)));
    ready(&gateway, "bad").await;
    for (how, text, reason) in answers {
        let shown = format!("{era:?} {how:?} {}", String::from_utf8_lossy(&text[..text.len().min(120)]));
        let before = reason.map(|reason| count(&gateway, reason));
        let params = r#"{"name":"bad","arguments":{}}"#;
        let (_, outcome) = ask(&gateway, "bad", era, "tools/call", params).await;
        let said = match outcome {
            Ok(_) => tool_error(outcome),
            Err(error) => error.message().unwrap_or_default(),
        };
        assert!(said.contains("shop/bad"), "{shown}: {said}");
        if let (Some(reason), Some(before)) = (reason, before) {
            assert_eq!(count(&gateway, reason), before + 1, "{shown}: {}", reason.word());
        }
        let work = call_tool(&gateway, "bad", "work").await;
        assert!(work.is_ok_and(|work| work.get().contains("worked")), "{shown}: the next call");
    }
}

fn bodies() -> Vec<(As, Vec<u8>, Option<Reason>)> {
    let mut all = Vec::new();
    for (text, reason) in ANSWERS {
        all.push((As::Json, text.to_vec(), *reason));
        // What is no text ends the stream of events, and a line end an event.
        all.push((As::Event, text.to_vec(), *reason));
    }
    let own = |text: &str| text.as_bytes().to_vec();
    let answer = || own(r#"{"jsonrpc":"2.0","id":ID,"result":{"content":[]}}"#);
    all.extend([
        (As::Json, own(r#"[{"jsonrpc":"2.0","id":ID,"result":{}}]"#), None),
        (As::Json, Vec::new(), Some(InvalidJson)),
        (As::Status(200, "text/html"), own("<html>welcome</html>"), Some(InvalidJson)),
        (As::Status(200, ""), own("welcome"), Some(InvalidJson)),
        (As::Status(202, ""), Vec::new(), None),
        (As::Status(204, ""), Vec::new(), None),
        (As::Status(302, "text/html"), Vec::new(), None),
        (As::Status(400, "application/json"), own("{"), None),
        (As::Status(418, "text/plain"), own("teapot"), None),
        (As::Status(500, "text/html"), own("<html>oops</html>"), None),
        (As::Status(503, "application/json"), own(r#"{"jsonrpc":"2.0","id":ID,"result":{}}"#), None),
        (As::Cut("application/json"), own(r#"{"jsonrpc":"2.0","id":ID,"resu"#), None),
        (As::Cut("text/event-stream"), own(r#"data: {"jsonrpc":"2.0","id":ID,"#), None),
        (As::Stream, Vec::new(), None),
        (As::Stream, own(": nothing but comments\n\n: more\n\n"), None),
        (As::Stream, own("event: other\ndata: {\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}\n\n"), None),
        // The answer's event never ends.
        (As::Stream, [b"data: ".to_vec(), answer()].concat(), None),
        (As::Stream, b"data: \xff\xfe\n\n".to_vec(), Some(InvalidJson)),
        (As::Stream, own("data: nonsense\n\n"), Some(InvalidJson)),
        (As::Stream, own("data: {\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}\n\n"), Some(UnknownId)),
        (As::Stream, own("data: {}\n\n"), Some(WrongShape)),
    ]);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_answer_of_a_legacy_server_is_the_error_of_its_call_alone() {
    outlives(Era::Legacy, bodies()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_answer_of_a_modern_server_is_the_error_of_its_call_alone() {
    outlives(Era::Modern, bodies()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_end_are_given_up_and_counted() {
    let long = |head: &str| [head.as_bytes().to_vec(), vec![b'x'; 34_000_000]].concat();
    let head = r#"{"jsonrpc":"2.0","id":ID,"result":{"x":""#;
    outlives(
        Era::Modern,
        vec![
            (As::Json, long(head), Some(TooLarge)),
            (As::Stream, long(&format!("data: {head}")), Some(TooLarge)),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_batch_is_no_answer() {
    let gateway = Gateway::new(vec![]);
    let batch = br#"[{"jsonrpc":"2.0","id":ID,"result":{}}]"#.to_vec();
    let address = start(Era::Legacy, vec![(As::Json, batch)]).await;
    gateway.apply(at_url("bad", &format!("http://{address}/mcp")));
    ready(&gateway, "bad").await;
    let error = tool_error(call_tool(&gateway, "bad", "bad").await);
    assert!(error.contains("not MCP"), "{error}");
    assert_eq!(count(&gateway, Batch), 1);
}
