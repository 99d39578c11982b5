//! What `/metrics` and `get_mcp_server` tell of servers in use: one that answers, and one that stops to.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use pilothouse::gateway::wire::Era;
use serde_json::json;

use crate::{
    gateway_odd::{Odd, Reply},
    program::{DEADLINE, Served},
};

/// Answers a call of its only tool so.
fn server(answer: fn() -> Reply) -> Odd {
    Odd::start(Era::Legacy, move |method, _| match method {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"ask"}]}"#.to_owned()),
        _ => answer(),
    })
}

/// The numbers of all series of downstreams, by name and labels as they are written.
async fn metrics(served: &Served) -> BTreeMap<String, f64> {
    let text = reqwest::get(format!("{}/metrics", served.health)).await.unwrap().text().await.unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("pilothouse_downstream_")?.rsplit_once(' '));
    lines.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect()
}

async fn until(served: &Served, what: &str, holds: impl Fn(&BTreeMap<String, f64>) -> bool) {
    let begun = Instant::now();
    loop {
        let metrics = metrics(served).await;
        if holds(&metrics) {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "{what}: {metrics:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn of(metrics: &BTreeMap<String, f64>, name: &str, server: &str) -> f64 {
    let series = format!("{name}{{namespace=\"default\",server=\"{server}\"}}");
    *metrics.get(&series).unwrap_or_else(|| panic!("no {series} in {metrics:#?}"))
}

/// Its states that are 1.
fn states(metrics: &BTreeMap<String, f64>, server: &str) -> Vec<String> {
    let of_server = format!("state{{namespace=\"default\",server=\"{server}\",state=\"");
    let now = metrics.iter().filter(|(_, value)| **value == 1.0);
    now.filter_map(|(series, _)| Some(series.strip_prefix(&of_server)?.trim_end_matches("\"}").to_owned()))
        .collect()
}

/// Of a client of the legacy era, which has called the good server's tool. It lasts while the client does.
async fn session_that_asks(served: &Served) -> reqwest::Client {
    let client = reqwest::Client::new();
    let url = format!("{}/mcp", served.origin);
    let post = |body: serde_json::Value| {
        client.post(&url).header("accept", "application/json, text/event-stream").json(&body)
    };
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let answer =
        post(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})).send().await;
    let session = answer.unwrap().headers().get("mcp-session-id").unwrap().clone();
    let call = json!({"name": "good_ask", "arguments": {}});
    for message in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}),
    ] {
        let sent =
            post(message).header("mcp-session-id", &session).header("mcp-protocol-version", "2025-11-25");
        let answer = sent.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.text().await.unwrap();
    }
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn state_calls_latency_sessions_and_age_are_told_while_servers_are_used() {
    let good = server(|| Reply::Result(r#"{"content":[]}"#.to_owned()));
    let bad = server(|| Reply::Never);
    let folder = tempfile::tempdir().unwrap();
    for (name, url, gateway) in [("good", good.url(), "{}"), ("bad", bad.url(), "{callTimeout: 1s}")] {
        let manifest = format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: {name}}}\n\
             spec: {{remote: {{url: '{url}'}}, gateway: {gateway}}}\n"
        );
        fs::write(folder.path().join(format!("{name}.yaml")), manifest).unwrap();
    }
    let served = Served::start("serve", &["--servers", &folder.path().display().to_string()]).await;
    served.until_listed(&["good_ask", "bad_ask"]).await;
    let before = metrics(&served).await;
    assert_eq!(
        (states(&before, "good"), states(&before, "bad")),
        (vec!["ready".into()], vec!["ready".into()])
    );

    for _ in 0..7 {
        served.ask("tools/call", json!({"name": "good_ask", "arguments": {}})).await;
    }
    until(&served, "the calls", |now| {
        of(now, "calls_total", "good") >= of(&before, "calls_total", "good") + 7.0
    })
    .await;
    let now = metrics(&served).await;
    assert_eq!(of(&now, "errors_total", "good"), 0.0);
    assert!((0.0..60.0).contains(&of(&now, "catalogue_age_seconds", "good")), "{now:#?}");
    // The one that lists, and the session that is held for a modern client, since this server keeps sessions.
    assert_eq!((of(&now, "connections", "good"), of(&now, "sessions", "good")), (2.0, 1.0), "{now:#?}");
    let count = of(&now, "call_seconds_count", "good");
    assert_eq!(count, of(&before, "call_seconds_count", "good") + 7.0);
    let all = now["call_seconds_bucket{le=\"+Inf\",namespace=\"default\",server=\"good\"}"];
    assert_eq!(all, count, "{now:#?}");

    let _session = session_that_asks(&served).await;
    let now = metrics(&served).await;
    assert_eq!((of(&now, "connections", "good"), of(&now, "sessions", "good")), (3.0, 2.0), "{now:#?}");

    // Five that hang, one after the other or at once, and it is left alone for a while.
    let hanging = (0..5).map(|_| served.ask("tools/call", json!({"name": "bad_ask", "arguments": {}})));
    for answer in futures::future::join_all(hanging).await {
        assert!(answer.to_string().contains("within 1s"), "{answer}");
    }
    until(&served, "an open circuit", |now| {
        states(now, "bad") == ["open-circuit"] && of(now, "errors_total", "bad") >= 5.0
    })
    .await;
    let now = metrics(&served).await;
    assert_eq!(states(&now, "good"), ["ready"]);
    let (told, _) = served.call("get_mcp_server", json!({"name": "bad"})).await;
    assert!(told.contains("CircuitOpen"), "{told}");
}
