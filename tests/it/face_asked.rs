//! Clients of other makers are asked by servers of other makers, in all pairs of eras: a form, a sample, the roots.

use std::{process::Stdio, sync::Arc, time::Duration};

use pilothouse::{gateway::Gateway, mcp::HttpSettings, tools::Toolbox};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{
    gateway_parts::everything_over,
    gateway_support::{at_url, ready},
    parts,
    stage::{Served, Stage},
};

/// Longest that a client may take, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// The server of both eras in `tests/parts/servers`; the gateway speaks the modern one to it.
async fn asking() -> (Child, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parts/servers/asking.py");
    let child = Command::new(parts::python_parts().join("bin/python3"))
        .args([script, &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    (child, port)
}

/// A face before one server, and the server.
async fn before((child, port): (Child, u16)) -> (Served, Child) {
    let gateway = Arc::new(Gateway::new(Vec::new()));
    gateway.apply(at_url("one", &format!("http://127.0.0.1:{port}/mcp")));
    ready(&gateway, "one").await;
    let catalogues = gateway.catalogues();
    let stage = Stage::over(gateway, Arc::new(Toolbox::default()), catalogues);
    (Served::open(stage, HttpSettings::default()).await, child)
}

fn python(mode: &str, tool: &str, arguments: &str, url: &str) -> Command {
    let mut command = Command::new(parts::python_parts().join("bin/python3"));
    command.arg(parts::client("ask.py"));
    command.args(["--mode", mode, "--tool", tool, "--arguments", arguments, url]);
    command
}

fn typescript(mode: &str, tool: &str, arguments: &str, url: &str) -> Command {
    let mut command = Command::new(parts::node());
    let script = std::fs::File::open(parts::client("ask.mjs")).unwrap();
    command.current_dir(parts::node_parts()).stdin(Stdio::from(script));
    command.args(["--input-type=module", "-", mode, tool, arguments, url]);
    command
}

/// What was asked on the way, sorted, and the text of the answer.
async fn outcome(mut command: Command) -> (Vec<String>, String) {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE, output).await.expect("the client ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = || format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{}", why()));
    assert_eq!(seen["error"], false, "{}", why());
    let mut asked: Vec<String> =
        seen["asked"].as_array().unwrap().iter().map(|method| method.as_str().unwrap().to_owned()).collect();
    asked.sort();
    (asked, seen["text"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_modern_server() {
    let (served, _server) = before(asking().await).await;
    let book = r#"{"day":"Monday"}"#;
    let clients = [
        python("auto", "one_book", book, &served.url),
        python("legacy", "one_book", book, &served.url),
        typescript("auto", "one_book", book, &served.url),
        typescript("legacy", "one_book", book, &served.url),
    ];
    for client in clients {
        let (asked, text) = outcome(client).await;
        assert_eq!(asked, ["elicitation/create", "roots/list", "sampling/createMessage"]);
        assert_eq!(text, "Monday for 4: take the window, file:///srv/ada");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_legacy_server() {
    let (served, _server) = before(everything_over("streamableHttp").await).await;
    let tools = [
        ("one_trigger-elicitation-request", "{}", "elicitation/create", "Ada"),
        (
            "one_trigger-sampling-request",
            r#"{"prompt":"Which table?"}"#,
            "sampling/createMessage",
            "take the window",
        ),
    ];
    for (tool, arguments, method, says) in tools {
        for mode in ["auto", "legacy"] {
            for client in
                [python(mode, tool, arguments, &served.url), typescript(mode, tool, arguments, &served.url)]
            {
                let (asked, text) = outcome(client).await;
                assert!(asked.contains(&method.to_owned()), "{mode} {tool}: {asked:?}");
                assert!(text.contains(says), "{mode} {tool}: {text}");
            }
        }
    }
}
