//! Servers whose calls share one stream (a process's stdout, HTTP+SSE): what is no answer ends the call that it names, the
//! others go on; what names no call is skipped, and its call ends with its time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use futures::StreamExt;
use pilothouse::gateway::{
    Downstream, Gateway, Program, Target, Transport,
    wire::{
        rejected::Reason,
        text::{Fields, Head},
    },
};
use tokio::sync::mpsc;

use crate::{
    gateway_support::{call_tool, of, ready, tool_error},
    hostile_answers::ANSWERS,
};

/// Its tools: `work`; `wait`, which is answered with the next `work`; `bad`, which says the next line of a file, and if that
/// begins with a plus, not before `wait` is open.
const SERVER: &str = r#"
import json, sys
out = sys.stdout.buffer
lines = open(sys.argv[1], "rb").read().split(b"\n")
waiting, held = [], None
def say(line):
    out.write(line + b"\n"); out.flush()
def result(i, text):
    say(('{"jsonrpc":"2.0","id":%s,"result":%s}' % (json.dumps(i), text)).encode())
for line in sys.stdin:
    m = json.loads(line)
    i, method = m.get("id"), m.get("method")
    if method == "initialize":
        result(i, '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bad","version":"1"}}')
    elif method == "tools/list":
        result(i, '{"tools":[{"name":"work"},{"name":"wait"},{"name":"bad"}]}')
    elif method == "tools/call":
        name = m["params"]["name"]
        if name == "wait":
            waiting.append(i)
        elif name == "work":
            for other in waiting:
                result(other, '{"waited":true}')
            waiting = []
            result(i, '{"worked":true}')
        else:
            held = i
        if held is not None and (waiting or not lines[0].startswith(b"+")):
            say(lines.pop(0)[1:].replace(b"ID", json.dumps(held).encode()))
            held = None
    elif method and i is not None:
        say(('{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}' % json.dumps(i)).encode())
"#;

type Line = (Vec<u8>, Option<Reason>);

/// Those that name a call, though it is no answer; or the others. What is no JSON names nobody, whatever its text says.
fn lines(naming: bool) -> Vec<Line> {
    let names = |(text, reason): &&(&[u8], Option<Reason>)| {
        let has_id = text.windows(2).any(|two| two == b"ID");
        (has_id && *reason != Some(Reason::InvalidJson)) == naming
    };
    let sign = if naming { b"+" } else { b"-" };
    let marked = |(text, reason): &(&[u8], Option<Reason>)| ([sign.as_slice(), *text].concat(), *reason);
    ANSWERS.iter().filter(names).map(marked).collect()
}

fn process(lines: &[Line], folder: &std::path::Path) -> Downstream {
    let file = folder.join("lines");
    let all: Vec<&[u8]> = lines.iter().map(|(text, _)| text.as_slice()).collect();
    std::fs::write(&file, all.join(&b'\n')).unwrap();
    let target = Target::Process(Program {
        command: "python3".to_owned(),
        args: vec!["-c".to_owned(), SERVER.to_owned(), file.display().to_string()],
        env: vec![],
        directory: None,
    });
    of("bad", Transport::Stdio, target)
}

/// Each call of `bad` fails with `why`; a call that is open beside it does not, and neither does the next one.
async fn outlives(downstream: Downstream, lines: &[Line], why: &str, beside: bool) {
    let gateway = Arc::new(Gateway::new(vec![]));
    gateway.apply(downstream);
    ready(&gateway, "bad").await;
    for (text, reason) in lines {
        let shown = String::from_utf8_lossy(text);
        let before = reason.map(|reason| gateway.rejections().of(reason));
        let wait = beside.then(|| {
            let gateway = gateway.clone();
            tokio::spawn(async move { call_tool(&gateway, "bad", "wait").await })
        });
        let outcome = call_tool(&gateway, "bad", "bad").await;
        let error = match outcome {
            Ok(_) => tool_error(outcome),
            Err(error) => error.message().unwrap_or_default(),
        };
        assert!(error.contains("shop/bad") && error.contains(why), "{shown}: {error}");
        let next = call_tool(&gateway, "bad", "work").await;
        assert!(next.as_ref().is_ok_and(|next| next.get().contains("worked")), "{shown}: {next:?}");
        if let Some(wait) = wait {
            let other = wait.await.unwrap();
            assert!(other.as_ref().is_ok_and(|other| other.get().contains("waited")), "{shown}: {other:?}");
        }
        if let (Some(reason), Some(before)) = (*reason, before) {
            assert_eq!(gateway.rejections().of(reason), before + 1, "{shown}: {}", reason.word());
        }
    }
}

const NOT_MCP: &str = "its answer is not MCP";
const TOO_SLOW: &str = "within 1s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_says_of_a_call_is_the_error_of_that_call_alone() {
    let (folder, lines) = (tempfile::tempdir().unwrap(), lines(true));
    outlives(process(&lines, folder.path()), &lines, NOT_MCP, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_says_of_nobody_is_skipped() {
    let (folder, lines) = (tempfile::tempdir().unwrap(), lines(false));
    let downstream = process(&lines, folder.path());
    outlives(Downstream { call_timeout: Duration::from_secs(1), ..downstream }, &lines, TOO_SLOW, false)
        .await;
}

/// The same server over HTTP+SSE.
#[derive(Default)]
struct Old {
    lines: Vec<Vec<u8>>,
    stream: Option<mpsc::UnboundedSender<Vec<u8>>>,
    waiting: Vec<String>,
    held: Option<String>,
}

impl Old {
    fn say(&self, text: &[u8]) {
        let event = [b"event: message\ndata: ".as_slice(), text, b"\n\n"].concat();
        self.stream.as_ref().unwrap().send(event).unwrap();
    }

    fn result(&self, id: &str, text: &str) {
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{text}}}"#).as_bytes());
    }

    fn called(&mut self, name: &str, id: String) {
        match name {
            "wait" => self.waiting.push(id),
            "work" => {
                for other in std::mem::take(&mut self.waiting) {
                    self.result(&other, r#"{"waited":true}"#);
                }
                self.result(&id, r#"{"worked":true}"#);
            }
            _ => self.held = Some(id),
        }
        let is_due = self.lines.first().is_some_and(|line| line[0] == b'-' || !self.waiting.is_empty());
        if let Some(id) = self.held.take_if(|_| is_due) {
            let line = self.lines.remove(0);
            let at = line.windows(2).position(|two| two == b"ID");
            let line = match at {
                Some(at) => [&line[1..at], id.as_bytes(), &line[at + 2..]].concat(),
                None => line[1..].to_vec(),
            };
            self.say(&line);
        }
    }
}

type Shared = Arc<Mutex<Old>>;

async fn open(State(old): State<Shared>) -> Response {
    let (stream, said) = mpsc::unbounded_channel();
    stream.send(b"event: endpoint\ndata: /messages\n\n".to_vec()).unwrap();
    old.lock().unwrap().stream = Some(stream);
    let said = tokio_stream::wrappers::UnboundedReceiverStream::new(said);
    let body = Body::from_stream(said.map(|event| Ok::<_, std::convert::Infallible>(Bytes::from(event))));
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

async fn message(State(old): State<Shared>, body: String) -> StatusCode {
    let head = Head::parse(&body).unwrap();
    let Some(id) = head.id.map(|id| id.get().to_owned()) else { return StatusCode::ACCEPTED };
    let mut old = old.lock().unwrap();
    match head.method.as_deref().unwrap_or_default() {
        "initialize" => old.result(
            &id,
            r#"{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"bad","version":"1"}}"#,
        ),
        "tools/list" => old.result(&id, r#"{"tools":[{"name":"work"},{"name":"wait"},{"name":"bad"}]}"#),
        "tools/call" => {
            let name = Fields::of(head.params).unwrap().get_str("name").unwrap();
            old.called(&name, id);
        }
        _ => old.result(&id, "{}"),
    }
    StatusCode::ACCEPTED
}

async fn old(lines: &[Line]) -> Downstream {
    let old = Old { lines: lines.iter().map(|(text, _)| text.clone()).collect(), ..Old::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sse", listener.local_addr().unwrap()).parse().unwrap();
    let router = Router::new()
        .route("/sse", get(open))
        .route("/messages", post(message))
        .with_state(Arc::new(Mutex::new(old)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let target = Target::Url { url, host_header: None, headers: vec![], authorities: None };
    of("bad", Transport::Sse, target)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_says_of_a_call_is_the_error_of_that_call_alone() {
    let lines = lines(true);
    outlives(old(&lines).await, &lines, NOT_MCP, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_says_of_nobody_is_skipped() {
    let mut lines = lines(false);
    // What is no text ends the stream, and with it all of its calls.
    lines.retain(|(text, _)| std::str::from_utf8(text).is_ok());
    let downstream = old(&lines).await;
    outlives(Downstream { call_timeout: Duration::from_secs(1), ..downstream }, &lines, TOO_SLOW, false)
        .await;
}
