//! Servers with several pods: which connections stay, and where calls go.

use std::time::{Duration, Instant};

use futures::future::join_all;
use pilothouse::gateway::{Downstream, Endpoint, Gateway, Kind, State, Target, Transport, wire::Era};

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{call_tool, observed, of, ready, tools, wait_for},
};

/// A pod that waits a little with each call.
fn pod() -> Odd {
    Odd::start(Era::Legacy, |method, _| match method {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"hello"}]}"#.to_owned()),
        "tools/call" => {
            std::thread::sleep(Duration::from_millis(20));
            Reply::Result("{}".to_owned())
        }
        _ => Reply::Result("{}".to_owned()),
    })
}

fn endpoint(pod: &Odd, id: &str) -> Endpoint {
    Endpoint { id: id.to_owned(), address: pod.address, terminating: false }
}

fn downstream(endpoints: Vec<Endpoint>) -> Downstream {
    let (path, host_header) = ("/mcp".to_owned(), "one.shop.svc".to_owned());
    of("one", Transport::StreamableHttp, Target::Endpoints { path, host_header, endpoints })
}

async fn wait_for_calls_at(gateway: &Gateway, pod: &Odd) {
    let since = Instant::now();
    while pod.count("tools/call") == 0 {
        assert!(since.elapsed() < Duration::from_secs(10), "the other pod gets no calls");
        join_all((0..8).map(|_| call_tool(gateway, "one", "hello"))).await;
    }
}

#[tokio::test]
async fn busy_calls_are_spread_and_a_terminating_pod_gets_nothing_new() {
    let (a, b) = (pod(), pod());
    let gateway = Gateway::new(vec![]);
    gateway.apply(downstream(vec![endpoint(&a, "a"), endpoint(&b, "b")]));
    ready(&gateway, "one").await;
    call_tool(&gateway, "one", "hello").await.unwrap();
    assert_eq!((a.count("initialize"), b.count("initialize")), (1, 0), "one connection is enough");
    // The second connection is opened while the first is busy.
    wait_for_calls_at(&gateway, &b).await;

    let leaving = Endpoint { terminating: true, ..endpoint(&a, "a") };
    gateway.apply(downstream(vec![leaving, endpoint(&b, "b")]));
    // Those who call before the runner has heard of it may still meet it.
    let since = Instant::now();
    loop {
        let before = a.count("tools/call");
        join_all((0..8).map(|_| call_tool(&gateway, "one", "hello"))).await;
        if a.count("tools/call") == before {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "it still gets calls");
    }
    assert_eq!(b.count("initialize"), 1, "its connection stays");
}

#[tokio::test]
async fn a_new_pod_takes_over_without_a_new_list_of_tools_in_between() {
    let (a, b) = (pod(), pod());
    let gateway = Gateway::new(vec![]);
    gateway.apply(downstream(vec![endpoint(&a, "a")]));
    ready(&gateway, "one").await;
    let mut catalogues = gateway.catalogues();
    let watched = tokio::spawn(async move {
        while catalogues.changed().await.is_ok() {
            let catalogue = catalogues.borrow_and_update();
            assert!(catalogue.find(Kind::Tool, "one_hello").is_some(), "a list without its tool");
        }
    });
    gateway.apply(downstream(vec![endpoint(&b, "b")]));
    call_tool(&gateway, "one", "hello").await.unwrap();
    wait_for("the new pod is used", || (b.count("initialize") == 1).then_some(())).await;
    drop(a);
    call_tool(&gateway, "one", "hello").await.unwrap();
    assert_eq!(tools(&gateway), ["one_hello"]);
    assert!(!watched.is_finished(), "{:?}", watched.await);
    watched.abort();
}

#[tokio::test]
async fn without_a_ready_pod_it_is_connecting_and_says_why_calls_fail() {
    let a = pod();
    let gateway = Gateway::new(vec![]);
    gateway.apply(downstream(vec![]));
    wait_for("it is known", || observed(&gateway, "one")).await;
    assert_eq!(observed(&gateway, "one").unwrap().state, State::Connecting);
    let refused = crate::gateway_support::tool_error(call_tool(&gateway, "one", "hello").await);
    assert!(refused.contains("none of its pods is ready"), "{refused}");
    gateway.apply(downstream(vec![endpoint(&a, "a")]));
    ready(&gateway, "one").await;
}
