//! A clean end: open calls finish, child processes end, and the program says goodbye in time.

use std::{fs, time::Instant};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::program::{DEADLINE, Piped, Served};

/// Answers `slow` after a second; writes its process id beside itself.
const SLOW: &str = r#"
import json, os, sys, time
open("pid", "w").write(str(os.getpid()))
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "slow", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "wait", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        open("called", "w").close()
        time.sleep(1)
        result = {"content": [{"type": "text", "text": "done"}]}
    else:
        continue
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"#;

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < DEADLINE, "{what} did not come");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_open_call_finishes_and_the_child_process_ends() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("slow.py"), SLOW).unwrap();
    fs::write(
        folder.path().join("slow.yaml"),
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: slow}\n\
         spec: {transport: stdio, command: [python3, slow.py]}\n",
    )
    .unwrap();
    let mut served = Served::start("serve", &["--servers", &folder.path().display().to_string()]).await;
    served.until_listed(&["slow_wait"]).await;
    let program = Pid::from_raw(i32::try_from(served.child.id()).unwrap());
    let called = folder.path().join("called");
    let ((answer, error), ()) = tokio::join!(served.call("slow_wait", json!({})), async {
        until("the call", || called.exists()).await;
        kill(program, Signal::SIGTERM).unwrap();
    });
    assert!(!error && answer == "done", "{answer}");
    until("the end", || served.child.try_wait().unwrap().is_some()).await;
    assert!(served.child.wait().unwrap().success(), "{}", served.said());
    let child: i32 = fs::read_to_string(folder.path().join("pid")).unwrap().parse().unwrap();
    assert!(kill(Pid::from_raw(child), None).is_err(), "its process is still there");
}

#[test]
fn over_stdio_it_ends_when_told_to_though_stdin_is_open() {
    let mut program = Piped::start(&[]);
    kill(Pid::from_raw(i32::try_from(program.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = program.child.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < DEADLINE, "it does not end");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
}
