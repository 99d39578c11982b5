//! How a process uses the servers that may sleep, as other replicas are told; and what a server is for a process that
//! has not put it to rest itself.

use std::{sync::Arc, time::Duration};

use pilothouse::{
    fleet::Usage,
    gateway::{Downstream, Endpoint, Gateway, State, Target, Transport, wire::Era},
};
use serde_json::{Value, json};

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{call_tool, observed, of, ready, tools, wait_for},
    program::Served,
};

fn pod() -> Odd {
    Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"look"}]}"#.to_owned()),
        _ => Reply::Result("{}".to_owned()),
    })
}

fn at(name: &str, pods: &[&Odd]) -> Downstream {
    let endpoint =
        |pod: &&Odd| Endpoint { id: pod.address.to_string(), address: pod.address, terminating: false };
    let (path, host_header) = ("/mcp".to_owned(), format!("{name}.shop.svc"));
    let endpoints = pods.iter().map(endpoint).collect();
    of(name, Transport::StreamableHttp, Target::Endpoints { path, host_header, endpoints })
}

fn sleepy(pods: &[&Odd]) -> Downstream {
    let mut downstream = at("sleepy", pods);
    downstream.terms.wakes_within = Some(Duration::from_secs(20));
    downstream
}

fn said(gateway: &Gateway) -> Value {
    serde_json::to_value(Usage::of(gateway)).unwrap()["servers"].take()
}

fn call(gateway: &Arc<Gateway>) -> tokio::task::JoinHandle<()> {
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let answer = call_tool(&gateway, "sleepy", "look").await.unwrap();
        assert_eq!(answer.get(), "{}");
    })
}

#[tokio::test]
async fn each_server_that_may_sleep_is_told_with_its_use() {
    let (a, b) = (pod(), pod());
    let gateway = Arc::new(Gateway::new(vec![]));
    gateway.apply(at("plain", &[&a]));
    gateway.apply(sleepy(&[&b]));
    let named = |more: Value| {
        let mut server = json!({ "namespace": "shop", "name": "sleepy", "waitedFor": false, "known": false });
        server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([server])
    };
    assert_eq!(said(&gateway), named(json!({ "idleSeconds": 0 })), "its tools were not read yet");
    ready(&gateway, "sleepy").await;
    ready(&gateway, "plain").await;
    assert_eq!(said(&gateway), named(json!({ "idleSeconds": 0, "known": true })));

    // Another replica has put it to rest: here its endpoints vanish.
    gateway.apply(sleepy(&[]));
    wait_for("it sleeps", || (observed(&gateway, "sleepy")?.state == State::Asleep).then_some(())).await;
    assert!(tools(&gateway).contains(&"sleepy_look".to_owned()), "it stays listed");
    let waits = call(&gateway);
    let waited_for = named(json!({ "waitedFor": true, "known": true }));
    wait_for("a call waits", || (said(&gateway) == waited_for).then_some(())).await;
    gateway.apply(sleepy(&[&b]));
    waits.await.unwrap();
    wait_for("nobody uses it", || said(&gateway)[0].get("idleSeconds").map(drop)).await;
    assert_eq!(said(&gateway), named(json!({ "idleSeconds": 0, "known": true })));
}

#[tokio::test]
async fn a_process_serves_it_on_its_health_port() {
    let served = Served::start("serve", &[]).await;
    let answer = reqwest::get(format!("{}/use", served.health)).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.text().await.unwrap(), r#"{"servers":[]}"#);
}
