//! What malformed requests over HTTP are answered with, in both eras, and that they are counted. Afterwards the next
//! request is served as ever.

use std::time::Duration;

use pilothouse::{
    gateway::wire::{
        body::Patience,
        rejected::{Reason, Rejections},
    },
    mcp::HttpSettings,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    hostile_messages::{BROKEN, HARMLESS, Says, WRONG},
    stage::{Served, Stage, initialize, soon},
};

const JSON: &str = "content-type: application/json\r\n";
const ACCEPT: &str = "accept: application/json, text/event-stream\r\n";
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

struct Answer {
    status: u16,
    /// JSON-RPC, as a document or the first event that holds one.
    message: Option<Value>,
    text: String,
}

impl Answer {
    fn code(&self) -> Option<i64> {
        self.message.as_ref()?["error"]["code"].as_i64()
    }
}

fn origin(served: &Served) -> &str {
    served.origin.strip_prefix("http://").unwrap()
}

/// Sends these bytes and reads until the program closes the connection.
async fn send(served: &Served, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(origin(served)).await.unwrap();
    // Who is refused before everything was read may not get to the end of writing.
    let _ = stream.write_all(bytes).await;
    read(stream).await
}

async fn read(mut stream: TcpStream) -> Answer {
    let mut answer = Vec::new();
    // What is unread when the program closes resets the connection; what came before counts.
    let _ = soon("an answer", stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let said = |line: &str| serde_json::from_str::<Value>(line.strip_prefix("data: ").unwrap_or(line)).ok();
    let message = text.lines().filter(|line| line.contains("jsonrpc")).find_map(said);
    Answer { status, message, text }
}

/// `head` are whole header lines.
fn request(line: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn post(head: &str, body: &[u8]) -> Vec<u8> {
    request("POST /mcp", &format!("{JSON}{ACCEPT}{head}"), body)
}

async fn served(settings: HttpSettings) -> Served {
    Served::open(Stage::with_props().0, settings).await
}

async fn session(served: &Served) -> String {
    let opened = send(served, &post("", initialize(0, "2025-06-18").as_bytes())).await;
    assert_eq!(opened.status, 200, "{}", opened.text);
    let id = opened.text.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap();
    format!("mcp-session-id: {id}\r\n")
}

fn modern_head(method: &str, name: Option<&str>) -> String {
    let name = name.map(|name| format!("mcp-name: {name}\r\n")).unwrap_or_default();
    format!("mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{name}")
}

fn counts(rejections: &Rejections) -> Vec<(&'static str, u64)> {
    Reason::ALL.into_iter().map(|reason| (reason.word(), rejections.of(reason))).collect()
}

/// What was counted while `what` ran.
async fn counted<T>(served: &Served, what: impl Future<Output = T>) -> (T, Vec<(&'static str, u64)>) {
    let rejections = served.stage.face.rejections();
    let before = counts(rejections);
    let done = what.await;
    let more = |((word, before), (_, after)): ((&'static str, u64), (_, u64))| (word, after - before);
    let all = before.into_iter().zip(counts(rejections)).map(more);
    (done, all.filter(|(_, times)| *times > 0).collect())
}

#[tokio::test]
async fn what_is_no_message_is_refused_in_both_eras_and_counted() {
    let served = served(HttpSettings::default()).await;
    let session = session(&served).await;
    for head in [session.clone(), modern_head("tools/list", None), String::new()] {
        for Says { what, text, code, reason, id } in BROKEN {
            let (answer, seen) = counted(&served, send(&served, &post(&head, text))).await;
            assert_eq!(answer.status, 400, "{what}: {}", answer.text);
            assert_eq!(answer.code(), Some(i64::from(*code)), "{what}: {}", answer.text);
            let named = answer.message.as_ref().and_then(|message| message.get("id")).map(Value::to_string);
            assert_eq!(named.as_deref(), *id, "{what}: {}", answer.text);
            assert_eq!(seen, [(reason.word(), 1)], "{what}");
        }
    }
    let list = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let (answer, seen) = counted(&served, send(&served, &post(&session, list))).await;
    assert!(answer.message.unwrap()["result"]["tools"].is_array());
    assert!(seen.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn a_request_that_is_wrong_in_itself_has_its_error_in_both_eras() {
    let served = served(HttpSettings::default()).await;
    let session = session(&served).await;
    for (method, params, code) in WRONG {
        let name = serde_json::from_str::<Value>(params)
            .ok()
            .and_then(|params| Some(params["name"].as_str()?.to_owned()));
        // Without a usable name the header repeats nothing.
        let name = name.filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
        let legacy = format!(r#"{{"jsonrpc":"2.0","id":"w","method":"{method}","params":{params}}}"#);
        let answer = send(&served, &post(&session, legacy.as_bytes())).await;
        assert_eq!((answer.status, answer.code()), (200, Some(*code)), "{legacy}: {}", answer.text);
        assert_eq!(answer.message.unwrap()["id"], "w");

        let with_meta = params.replacen('{', &format!("{{{META},"), 1).replace(",}", "}");
        let modern = format!(r#"{{"jsonrpc":"2.0","id":"w","method":"{method}","params":{with_meta}}}"#);
        let head = modern_head(method, name.as_deref());
        let answer = send(&served, &post(&head, modern.as_bytes())).await;
        let status = if *code == -32601 { 404 } else { 200 };
        // A name that no header can hold is in none, which is said first.
        let expected = if params.contains("\\u0000") { (400, Some(-32020)) } else { (status, Some(*code)) };
        assert_eq!((answer.status, answer.code()), expected, "{modern}: {}", answer.text);
        assert_eq!(answer.message.unwrap()["id"], "w");
    }
}

#[tokio::test]
async fn what_is_only_odd_is_served() {
    let served = served(HttpSettings::default()).await;
    let session = session(&served).await;
    for arguments in HARMLESS.iter().map(|make| make()) {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"x","name":"length","arguments":{arguments}}}}}"#
        );
        let (answer, seen) = counted(&served, send(&served, &post(&session, call.as_bytes()))).await;
        let start: String = call.chars().take(200).collect();
        assert!(answer.message.unwrap()["result"]["length"].as_u64().is_some(), "{start}: {}", answer.text);
        assert!(seen.is_empty(), "{start}: {seen:?}");
    }
}

#[tokio::test]
async fn headers_that_do_not_fit_are_refused_and_counted() {
    let served = served(HttpSettings::default()).await;
    let session = session(&served).await;
    let list: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let note: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let modern = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#);
    let modern = modern.as_bytes();
    let version = |version: &str| format!("mcp-protocol-version: {version}\r\nmcp-method: tools/list\r\n");
    let elsewhere = String::from_utf8_lossy(modern).replace("2026-07-28", "2099-01-01");
    let half_meta = modern_half();
    let read = format!("GET /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{session}");
    let unknown = "mcp-session-id: nobody-has-this-one\r\n";
    let stream = "accept: text/event-stream\r\n";
    let none = None::<i64>;
    for (what, bytes, status, code, reason) in [
        // Either era.
        ("no content type", request("POST /mcp", &format!("{ACCEPT}{session}"), list), 415, none, "headers"),
        (
            "another content type",
            request("POST /mcp", &format!("content-type: text/plain\r\n{ACCEPT}{session}"), list),
            415,
            none,
            "headers",
        ),
        ("no accept", request("POST /mcp", &format!("{JSON}{session}"), list), 406, none, "headers"),
        (
            "half an accept",
            request("POST /mcp", &format!("{JSON}accept: application/json\r\n{session}"), list),
            406,
            none,
            "headers",
        ),
        (
            "another method",
            request("PUT /mcp", &format!("{JSON}{ACCEPT}{session}"), list),
            405,
            none,
            "headers",
        ),
        ("another method for /sse", request("POST /sse", JSON, list), 405, none, "headers"),
        ("another method for /messages", request("GET /messages", "", b""), 405, none, "headers"),
        // Legacy.
        ("a request without a session", post("", list), 400, none, "headers"),
        ("a notification without a session", post("", note), 400, none, "headers"),
        ("an unknown session", post(unknown, list), 404, none, "session"),
        ("the end of an unknown session", request("DELETE /mcp", unknown, b""), 404, none, "session"),
        (
            "the stream of an unknown session",
            request("GET /mcp", &format!("{stream}{unknown}"), b""),
            404,
            none,
            "session",
        ),
        ("a stream without accept", format!("{read}\r\n").into_bytes(), 406, none, "headers"),
        ("a stream of no session", request("GET /mcp", stream, b""), 400, none, "headers"),
        (
            "an unknown revision",
            post(&format!("{session}mcp-protocol-version: 1999-01-01\r\n"), list),
            400,
            none,
            "headers",
        ),
        (
            "a revision that is none",
            post(&format!("{session}mcp-protocol-version: né\r\n"), list),
            400,
            none,
            "headers",
        ),
        ("messages without a session", request("POST /messages", JSON, list), 400, none, "headers"),
        ("messages of no session", request("POST /messages?sessionId=x", JSON, list), 404, none, "session"),
        // Modern.
        ("no Mcp-Method", post("mcp-protocol-version: 2026-07-28\r\n", modern), 400, Some(-32020), "headers"),
        ("another Mcp-Method", post(&modern_head("tools/call", None), modern), 400, Some(-32020), "headers"),
        (
            "two Mcp-Method",
            post(&format!("{}mcp-method: tools/list\r\n", version("2026-07-28")), modern),
            400,
            Some(-32020),
            "headers",
        ),
        ("no _meta", post(&version("2026-07-28"), list), 400, Some(-32602), "headers"),
        ("half a _meta", post(&version("2026-07-28"), half_meta.as_bytes()), 400, Some(-32602), "headers"),
        ("a _meta without the header", post("", modern), 400, Some(-32020), "headers"),
        (
            "another revision in the header",
            post(&version("2025-11-25"), modern),
            400,
            Some(-32020),
            "headers",
        ),
        (
            "an unknown modern revision",
            post(&version("2099-01-01"), elsewhere.as_bytes()),
            400,
            Some(-32022),
            "headers",
        ),
        (
            "a modern stream",
            request("GET /mcp", &format!("{stream}{}", version("2026-07-28")), b""),
            405,
            none,
            "headers",
        ),
    ] {
        let (answer, seen) = counted(&served, send(&served, &bytes)).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{what}: {}", answer.text);
        assert_eq!(seen, [(reason, 1)], "{what}");
    }
    // What is no HTTP does not get as far as to be counted.
    for (what, head) in [
        ("a line end in a header", "x-a: b\rc: d\r\n"),
        ("a NUL in a header", "x-a: b\0\r\n"),
        ("a header without a name", ": b\r\n"),
        ("a folded session", "mcp-session-id: a\r\n b\r\n"),
        ("two lengths", "content-length: 3\r\n"),
    ] {
        let answer = send(&served, &post(head, list)).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
    }
    let answer = send(&served, &post(&format!("x-a: {}\r\n", "b".repeat(1_000_000)), list)).await;
    assert_eq!(answer.status, 431, "{}", answer.text);
    let answer = send(&served, &post(&session, list)).await;
    assert!(answer.message.unwrap()["result"]["tools"].is_array());
}

fn modern_half() -> String {
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#.to_owned()
}

#[tokio::test]
async fn bodies_that_are_too_long_or_do_not_end_are_refused_and_counted() {
    let patience = Patience { piece: Duration::from_millis(300), whole: Duration::from_secs(3_600) };
    let served = served(HttpSettings { body_limit: 10_000, patience, ..HttpSettings::default() }).await;
    let session = session(&served).await;
    let modern = modern_head("tools/list", None);
    for (line, head, says) in
        [("POST /mcp", session.as_str(), Some(-32600)), ("POST /mcp", modern.as_str(), Some(-32600))]
    {
        let head = format!("{JSON}{ACCEPT}{head}");
        let long = request(line, &head, &[b' '; 10_001]);
        let (answer, seen) = counted(&served, send(&served, &long)).await;
        assert_eq!((answer.status, answer.code()), (413, says), "{}", answer.text);
        assert_eq!(seen, [("too-large", 1)]);

        // Without a length, piece by piece.
        let start = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n{head}\r\n"
        );
        let chunks = format!("{start}{}", format!("1000\r\n{}\r\n", " ".repeat(0x1000)).repeat(3));
        let (answer, seen) = counted(&served, send(&served, chunks.as_bytes())).await;
        assert_eq!((answer.status, answer.code()), (413, says), "{}", answer.text);
        assert_eq!(seen, [("too-large", 1)]);

        // A body that stops.
        let half = format!("{start}5\r\n{{\"a\":\r\n");
        let (answer, seen) = counted(&served, send(&served, half.as_bytes())).await;
        assert_eq!((answer.status, answer.code()), (408, Some(-32700)), "{}", answer.text);
        assert_eq!(seen, [("unfinished", 1)]);

        // A body that is cut off: whoever cut it hears nothing, or that it was.
        let before = served.stage.face.rejections().of(Reason::Unfinished);
        let mut stream = TcpStream::connect(origin(&served)).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read(stream).await;
        assert!(matches!(answer.status, 0 | 400), "{}", answer.text);
        assert!(served.stage.face.rejections().of(Reason::Unfinished) <= before + 1);

        // A chunk that is none.
        let answer = send(&served, format!("{start}zz\r\n").as_bytes()).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    let list: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let answer = send(&served, &post(&session, list)).await;
    assert!(answer.message.unwrap()["result"]["tools"].is_array());
}
