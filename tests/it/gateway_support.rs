//! What the gateway's tests share: downstreams as values, calls, and waiting for what should come.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use pilothouse::gateway::{
    Downstream, Gateway, Kind, Observation, Prefix, Request, ServerName, State, Target, Terms, ToolPolicy,
    Transport,
    wire::{Era, Raw, RpcError, Up},
};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// Long enough for a busy machine, short enough to notice.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn named(name: &str) -> ServerName {
    ServerName { namespace: "shop".to_owned(), name: name.to_owned() }
}

/// A Streamable HTTP downstream whose prefix is its name.
pub(crate) fn at_url(name: &str, url: &str) -> Downstream {
    let target =
        Target::Url { url: url.parse().unwrap(), host_header: None, headers: vec![], authorities: None };
    of(name, Transport::StreamableHttp, target)
}

pub(crate) fn of(name: &str, transport: Transport, target: Target) -> Downstream {
    Downstream {
        name: named(name),
        prefix: Prefix::parse(name).unwrap(),
        created: Timestamp::from_second(1_700_000_000).unwrap(),
        transport,
        target,
        tools: ToolPolicy::default(),
        call_timeout: Duration::from_secs(30),
        terms: Terms::default(),
    }
}

pub(crate) fn text(json: &str) -> Raw {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// Waits until `look` sees it.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(since.elapsed() < PATIENCE, "not seen within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn observed(gateway: &Gateway, name: &str) -> Option<Observation> {
    gateway.observations().borrow().get(&named(name)).cloned()
}

pub(crate) async fn ready(gateway: &Gateway, name: &str) -> Observation {
    wait_for(&format!("{name} is ready"), || {
        observed(gateway, name).filter(|seen| seen.state == State::Ready)
    })
    .await
}

pub(crate) fn tools(gateway: &Gateway) -> Vec<String> {
    gateway.catalogue().of_kind(Kind::Tool).map(|entry| entry.name.clone()).collect()
}

/// Sends a request as a client of `era` and gives back what came before the answer, and the answer.
pub(crate) async fn ask(
    gateway: &Gateway,
    name: &str,
    era: Era,
    method: &str,
    params: &str,
) -> (Vec<Up>, Result<Raw, RpcError>) {
    let (up, mut ups) = mpsc::channel(64);
    let params = (params != "null").then(|| text(params));
    let request = Request { server: named(name), method: method.to_owned(), params, era, seats: None };
    let answer = gateway.call(request, up).await;
    let mut before = Vec::new();
    while let Ok(up) = ups.try_recv() {
        before.push(up);
    }
    (before, answer)
}

/// Calls a tool by the server's own name, as a legacy client.
pub(crate) async fn call_tool(gateway: &Gateway, name: &str, tool: &str) -> Result<Raw, RpcError> {
    let params = format!(r#"{{"name":"{tool}","arguments":{{}}}}"#);
    ask(gateway, name, Era::Legacy, "tools/call", &params).await.1
}

/// The text of a tool's error result.
pub(crate) fn tool_error(answer: Result<Raw, RpcError>) -> String {
    let answer: serde_json::Value = serde_json::from_str(answer.unwrap().get()).unwrap();
    assert_eq!(answer["isError"], true, "{answer}");
    answer["content"][0]["text"].as_str().unwrap().to_owned()
}
