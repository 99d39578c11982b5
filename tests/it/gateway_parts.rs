//! Real servers of other makers, over each transport: what they say is what their entries and answers show.
//! `tests/parts/install` prints the variables that say where they are.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use pilothouse::gateway::{
    Downstream, Gateway, Kind, Program, Target, Transport,
    wire::{Era, Up},
};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{
    gateway_support::{ask, at_url, of, ready, tools, wait_for},
    parts,
};

fn there(path: PathBuf) -> String {
    assert!(path.exists(), "{} is missing: run tests/parts/install again", path.display());
    path.display().to_string()
}

pub(crate) fn everything() -> String {
    let package = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    there(parts::node_parts().join(package))
}

pub(crate) fn node() -> String {
    there(parts::node())
}

/// server-everything on a free port. Killed when dropped.
pub(crate) async fn everything_over(mode: &str) -> (Child, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(node())
        .args([everything(), mode.to_owned()])
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let since = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(60), "server-everything does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (child, port)
}

async fn everything_works(gateway: &Gateway) {
    ready(gateway, "every").await;
    assert!(tools(gateway).contains(&"every_echo".to_owned()), "{:?}", tools(gateway));
    let echo = r#"{"name":"echo","arguments":{"message":"h\u00e4llo"}}"#;
    let (_, answer) = ask(gateway, "every", Era::Legacy, "tools/call", echo).await;
    let answer: Value = serde_json::from_str(answer.unwrap().get()).unwrap();
    assert_eq!(answer["content"][0]["text"], "Echo: hällo");

    let long = r#"{"name":"trigger-long-running-operation","arguments":{"duration":1,"steps":4},"_meta":{"progressToken":7}}"#;
    let (before, answer) = ask(gateway, "every", Era::Legacy, "tools/call", long).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert!(before.len() >= 3, "{before:?}");
    let Up::Note { params: Some(params), .. } = &before[0] else { panic!("{before:?}") };
    assert!(params.get().contains(r#""progressToken":7"#), "{params}");

    let (_, refused) = ask(gateway, "every", Era::Legacy, "x-none", "{}").await;
    assert_eq!(refused.unwrap_err().code(), Some(-32601));
    let catalogue = gateway.catalogue();
    assert!(catalogue.of_kind(Kind::Prompt).count() > 0);
    let resource = catalogue.of_kind(Kind::Resource).next().unwrap().name.clone();
    let params = format!(r#"{{"uri":"{resource}"}}"#);
    let (_, answer) = ask(gateway, "every", Era::Modern, "resources/read", &params).await;
    let answer: Value = serde_json::from_str(answer.unwrap().get()).unwrap();
    assert_eq!(
        (&answer["resultType"], &answer["contents"][0]["uri"]),
        (&"complete".into(), &resource.into())
    );
}

#[tokio::test]
async fn server_everything_over_stdio() {
    let gateway = Gateway::new(vec![]);
    let args = vec![everything(), "stdio".to_owned()];
    let target = Target::Process(Program { command: node(), args, env: vec![], directory: None });
    gateway.apply(of("every", Transport::Stdio, target));
    everything_works(&gateway).await;
    gateway.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn server_everything_over_streamable_http() {
    let (_child, port) = everything_over("streamableHttp").await;
    let gateway = Gateway::new(vec![]);
    gateway.apply(at_url("every", &format!("http://127.0.0.1:{port}/mcp")));
    everything_works(&gateway).await;
    gateway.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn server_everything_over_http_and_sse() {
    let (child, port) = everything_over("sse").await;
    let gateway = Gateway::new(vec![]);
    let mut downstream = at_url("every", &format!("http://127.0.0.1:{port}/sse"));
    downstream.transport = Transport::Sse;
    gateway.apply(downstream);
    everything_works(&gateway).await;
    drop(child);
    wait_for("the loss is seen", || {
        let seen = crate::gateway_support::observed(&gateway, "every")?;
        matches!(seen.state, pilothouse::gateway::State::Unreachable { .. }).then_some(())
    })
    .await;
}

fn time() -> Downstream {
    let args = vec!["--local-timezone".to_owned(), "UTC".to_owned()];
    let command = there(parts::python_parts().join("bin/mcp-server-time"));
    of("time", Transport::Stdio, Target::Process(Program { command, args, env: vec![], directory: None }))
}

#[tokio::test]
async fn mcp_server_time_over_stdio() {
    let gateway = Gateway::new(vec![]);
    gateway.apply(time());
    ready(&gateway, "time").await;
    assert_eq!(tools(&gateway), ["time_convert_time", "time_get_current_time"]);
    for era in [Era::Legacy, Era::Modern] {
        let params = r#"{"name":"get_current_time","arguments":{"timezone":"UTC"}}"#;
        let (_, answer) = ask(&gateway, "time", era, "tools/call", params).await;
        let answer: Value = serde_json::from_str(answer.unwrap().get()).unwrap();
        assert!(answer["content"][0]["text"].as_str().unwrap().contains("UTC"), "{answer}");
        assert_eq!(answer["resultType"].as_str(), (era == Era::Modern).then_some("complete"));
    }
    gateway.shutdown(Duration::from_secs(1)).await;
}
