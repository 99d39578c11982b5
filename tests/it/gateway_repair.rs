//! Connections that are lost under a call: what may be sent again is, the rest says that it may be tried again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pilothouse::gateway::{Gateway, wire::Era};
use serde_json::Value;

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, call_tool, ready},
};

const TOOLS: &str = r#"{"tools":[{"name":"look","annotations":{"readOnlyHint":true}},{"name":"put","annotations":{"idempotentHint":true,"readOnlyHint":false}},{"name":"buy"}]}"#;

/// Breaks off in the middle of the first answer to each call.
fn breaks_once() -> Odd {
    let calls = AtomicUsize::new(0);
    Odd::start(Era::Legacy, move |method, _| match method {
        "tools/list" => Reply::Result(TOOLS.to_owned()),
        "tools/call" if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => Reply::Half,
        _ => Reply::Result(r#"{"content":[]}"#.to_owned()),
    })
}

#[tokio::test]
async fn only_a_call_that_does_no_harm_twice_is_sent_twice() {
    for (tool, sent) in [("look", 2), ("put", 2), ("buy", 1)] {
        let server = breaks_once();
        let gateway = Gateway::new(vec![]);
        gateway.apply(at_url("one", &server.url()));
        ready(&gateway, "one").await;
        let answer = call_tool(&gateway, "one", tool).await.unwrap();
        assert_eq!(server.count("tools/call"), sent, "{tool}: {answer}");
        if sent == 2 {
            assert_eq!(answer.get(), r#"{"content":[]}"#);
            continue;
        }
        let answer: Value = serde_json::from_str(answer.get()).unwrap();
        assert_eq!(answer["isError"], true, "{answer}");
        let retry = &answer["_meta"]["pilothouse.dev/retry"];
        assert_eq!((&retry["retryable"], &retry["mayHaveRun"]), (&true.into(), &true.into()), "{answer}");
    }
}

#[tokio::test]
async fn a_call_waits_for_a_server_that_restarts() {
    let script = |method: &str, _: &str| match method {
        "tools/list" => Reply::Result(TOOLS.to_owned()),
        _ => Reply::Result(r#"{"content":[]}"#.to_owned()),
    };
    let server = Odd::start(Era::Legacy, script);
    let (address, url) = (server.address, server.url());
    let gateway = Arc::new(Gateway::new(vec![]));
    gateway.apply(at_url("one", &url));
    ready(&gateway, "one").await;
    call_tool(&gateway, "one", "look").await.unwrap();

    drop(server);
    let asking = gateway.clone();
    let call = tokio::spawn(async move { call_tool(&asking, "one", "look").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let again = Odd::start_at(address, Era::Legacy, script);
    let answer = tokio::time::timeout(Duration::from_secs(30), call).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.get(), r#"{"content":[]}"#);
    assert_eq!((again.count("initialize"), again.count("tools/call")), (1, 1));
}
