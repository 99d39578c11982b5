//! Downstreams that are local processes: started, heard, restarted when they die, ended with us.

use std::{path::Path, time::Duration};

use pilothouse::gateway::{Downstream, Gateway, Program, Target, Transport, wire::Era};

use crate::gateway_support::{ask, call_tool, observed, of, ready, tool_error, tools, wait_for};

/// A legacy server in a few lines. Its tools: `pid`, `die`, `big`, `noise`, `env`; `slow` never answers.
const SERVER: &str = r#"
import json, os, sys, time
def say(text):
    sys.stdout.write(text + "\n"); sys.stdout.flush()
print("it starts", file=sys.stderr)
for line in sys.stdin:
    m = json.loads(line)
    i = json.dumps(m.get("id"))
    method = m.get("method")
    if method == "initialize":
        say('{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"small","version":"1"}}}' % i)
    elif method == "tools/list":
        say('{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"pid","x":2.50},{"name":"die"}]}}' % i)
    elif method == "tools/call":
        name = m["params"]["name"]
        if name == "die":
            say('{"jsonrpc":"2.0","id":%s,"res' % i)
            os._exit(3)
        if name == "slow":
            continue
        if name == "big":
            say('{"jsonrpc":"2.0","id":%s,"result":{"x":"%s"}}' % (i, "x" * 50000000))
            continue
        if name == "noise":
            say("this is no message")
            say('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":0.10,"progressToken":%s}}' % json.dumps(m["params"]["_meta"]["progressToken"]))
        if name == "env":
            say('{"jsonrpc":"2.0","id":%s,"result":%s}' % (i, json.dumps(dict(os.environ))))
            continue
        say('{"jsonrpc":"2.0","id":%s, "result" : {"pid":%d, "n":2.50}}' % (i, os.getpid()))
    elif "id" in m:
        say('{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}' % i)
"#;

fn small(name: &str) -> Downstream {
    let target = Target::Process(Program {
        command: "python3".to_owned(),
        args: vec!["-c".to_owned(), SERVER.to_owned()],
        env: vec![("GIVEN".to_owned(), "yes".to_owned())],
        directory: None,
    });
    of(name, Transport::Stdio, target)
}

async fn pid(gateway: &Gateway, name: &str) -> u32 {
    let answer = call_tool(gateway, name, "pid").await.unwrap();
    let text = answer.get().strip_prefix(r#"{"pid":"#).and_then(|rest| rest.strip_suffix(r#", "n":2.50}"#));
    text.unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
}

#[tokio::test]
async fn a_process_is_called_and_comes_back_when_it_dies() {
    let gateway = Gateway::new(vec![]);
    gateway.apply(small("small"));
    gateway.apply(small("other"));
    let seen = ready(&gateway, "small").await;
    assert_eq!(seen.server.unwrap().protocol_version, "2025-06-18");
    ready(&gateway, "other").await;
    let (first, other) = (pid(&gateway, "small").await, pid(&gateway, "other").await);

    let error = tool_error(call_tool(&gateway, "small", "die").await);
    assert!(error.contains("shop/small") && error.contains("ended during the call"), "{error}");
    assert_eq!(tools(&gateway).len(), 4, "its tools stay listed");
    let second = pid(&gateway, "small").await;
    assert_ne!(first, second);
    assert_eq!(pid(&gateway, "other").await, other, "the other one was left alone");
}

#[tokio::test]
async fn noise_is_skipped_and_too_much_is_an_error_of_that_call_alone() {
    let gateway = Gateway::new(vec![]);
    gateway.apply(small("small"));
    ready(&gateway, "small").await;
    let params = r#"{"name":"noise","_meta":{"progressToken":"mine"}}"#;
    let (before, answer) = ask(&gateway, "small", Era::Legacy, "tools/call", params).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(before.len(), 1, "{before:?}");

    let before = pid(&gateway, "small").await;
    let (big, beside) = tokio::join!(call_tool(&gateway, "small", "big"), pid(&gateway, "small"));
    let error = tool_error(big);
    assert!(error.contains("larger than 33554432 bytes"), "{error}");
    assert_eq!(before, beside);
    assert_eq!(before, pid(&gateway, "small").await);
}

#[tokio::test]
async fn a_process_gets_its_own_environment_and_little_of_ours() {
    let gateway = Gateway::new(vec![]);
    gateway.apply(small("small"));
    ready(&gateway, "small").await;
    let answer = call_tool(&gateway, "small", "env").await.unwrap();
    let env: std::collections::BTreeMap<String, String> = serde_json::from_str(answer.get()).unwrap();
    assert_eq!(env["GIVEN"], "yes");
    assert!(env.contains_key("PATH"));
    assert!(!env.contains_key("CARGO_MANIFEST_DIR"), "{env:?}");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named() {
    let gateway = Gateway::new(vec![]);
    let target = Target::Process(Program {
        command: "no-such-server".to_owned(),
        args: vec![],
        env: vec![],
        directory: None,
    });
    gateway.apply(of("none", Transport::Stdio, target));
    let reason = wait_for("the reason", || match observed(&gateway, "none")?.state {
        pilothouse::gateway::State::Unreachable { reason } => Some(reason),
        _ => None,
    })
    .await;
    assert!(reason.contains("`no-such-server` cannot be started"), "{reason}");
}

#[tokio::test]
async fn shutdown_lets_calls_finish_and_ends_processes() {
    let gateway = Gateway::new(vec![]);
    gateway.apply(small("small"));
    ready(&gateway, "small").await;
    let pid = pid(&gateway, "small").await;
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    let hanging = call_tool(&gateway, "small", "slow");
    let (answer, ()) = tokio::join!(hanging, gateway.shutdown(Duration::from_millis(300)));
    assert!(tool_error(answer).contains("no longer serves"));
    wait_for("the process is gone", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())).await;
}
