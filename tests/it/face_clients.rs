//! The face as clients that were not written here see it: a tool appears, answers, and goes.

use std::process::Stdio;

use pilothouse::{
    gateway::Kind,
    mcp::{Auth, HttpSettings, authentication::StaticToken},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::{
    parts,
    stage::{Served, Stage, soon},
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const TOOL: &str = "appearing";

/// A client that prints what it sees, one JSON object a line.
struct Client {
    events: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Client {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .env("PILOTHOUSE_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the client starts");
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { events, _child: child }
    }

    async fn expect(&mut self, event: &str) -> Value {
        let line = soon(event, self.events.next_line()).await.unwrap();
        let seen: Value =
            serde_json::from_str(&line.unwrap_or_else(|| panic!("it ended before {event}"))).unwrap();
        assert_eq!(seen["event"], event, "{seen}");
        seen
    }
}

fn python(mode: &str, url: &str) -> Command {
    let mut command = Command::new(parts::python_parts().join("bin/python3"));
    command.arg(parts::client("follow.py")).args(["--mode", mode, "--tool", TOOL, url]);
    command
}

fn typescript(transport: &str, mode: &str, url: &str) -> Command {
    let mut command = Command::new(parts::node());
    let script = std::fs::File::open(parts::client("follow.mjs")).unwrap();
    // The SDKs are found from the folder it runs in.
    command.current_dir(parts::node_parts()).stdin(Stdio::from(script));
    command.args(["--input-type=module", "-", transport, mode, TOOL, "{}", "0", url]);
    command
}

/// Runs one client from the first look to the tool's end.
async fn follow(command: impl FnOnce(&Served) -> Command) -> Value {
    let auth = Auth::only(StaticToken::new(TOKEN).unwrap());
    let (stage, props) = Stage::with_props();
    let served = Served::open(stage, HttpSettings { auth, ..HttpSettings::default() }).await;
    let mut client = Client::start(&mut command(&served));
    let connected = client.expect("connected").await;
    assert_eq!(connected["server"], "pilothouse");
    props.show(&[(Kind::Tool, TOOL)]);
    client.expect("appeared").await;
    let answer = client.expect("answer").await;
    assert_eq!((&answer["error"], &answer["text"]), (&Value::Bool(false), &Value::from("hello")));
    props.show(&[]);
    client.expect("gone").await;
    connected
}

#[tokio::test]
async fn python_of_the_modern_era() {
    let connected = follow(|served| python("auto", &served.url)).await;
    assert_eq!(connected["protocol"], "2026-07-28");
}

#[tokio::test]
async fn python_of_the_legacy_era() {
    let connected = follow(|served| python("legacy", &served.url)).await;
    assert_eq!(connected["protocol"], "2025-11-25");
}

#[tokio::test]
async fn typescript_of_the_legacy_era() {
    follow(|served| typescript("http", "legacy", &served.url)).await;
}

#[tokio::test]
async fn typescript_that_chooses_the_era() {
    follow(|served| typescript("http", "auto", &served.url)).await;
}

#[tokio::test]
async fn typescript_over_sse() {
    follow(|served| typescript("sse", "-", &format!("{}/sse", served.origin))).await;
}
