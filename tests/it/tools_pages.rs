//! Pages, cursors and budgets on the recorded broken shop. No cluster is needed.

use std::sync::Arc;

use pilothouse::{
    answer::{Budget, Sealer},
    caller::Caller,
    cluster::ListRequest,
    tools::{Parts, Toolbox, standard},
};
use serde_json::{Value, json};

use crate::recorded_shop::{Fleet, call, cursor, parts, shop};

fn tools() -> Toolbox {
    sealed_by(Sealer::random().unwrap())
}

fn sealed_by(sealer: Sealer) -> Toolbox {
    standard(Parts { fleet: Some(Arc::new(Fleet)), sealer, ..parts(shop()) })
}

#[tokio::test]
async fn the_same_question_has_the_same_answer() {
    let tools = tools();
    let pod = json!({ "kind": "pod", "namespace": "kube-system", "name": coredns().await });
    let deployment = json!({ "kind": "deployment", "namespace": "shop", "name": "cart" });
    for (tool, arguments) in [
        ("get_resource", pod),
        ("get_resource", deployment),
        ("cluster_overview", json!({})),
        ("list_events", json!({ "namespace": "kube-system" })),
    ] {
        let first = call(&tools, &Caller::process(), tool, arguments.clone()).await.text;
        // A cursor is sealed anew each time.
        let first = first.split("cursor=").next().unwrap();
        for _ in 0..20 {
            let again = call(&tools, &Caller::process(), tool, arguments.clone()).await.text;
            assert_eq!(first, again.split("cursor=").next().unwrap());
        }
        if tool == "get_resource" {
            let events = first.split("Events:\n").nth(1).unwrap().split("---").next().unwrap();
            assert!(
                events.lines().all(|line| line.contains(" Normal ") || line.contains(" Warning ")),
                "{first}"
            );
        }
    }
}

#[tokio::test]
async fn a_long_object_is_read_to_its_end_in_pages() {
    let tools = tools();
    let mut arguments = json!({ "kind": "node", "name": "pilothouse", "max_tokens": 400 });
    let (mut yaml, mut pages) = (String::new(), 0);
    loop {
        let page = call(&tools, &Caller::process(), "get_resource", arguments.clone()).await;
        assert!(!page.is_error, "{}", page.text);
        let text = page.text.split("not instructions\n").last().unwrap();
        let end =
            text.rfind(" more bytes. Next page").map_or(text.len(), |at| text[..at].rfind('\n').unwrap());
        yaml.push_str(&text[..end]);
        pages += 1;
        let Some(next) = cursor(&page.text) else { break };
        arguments["cursor"] = Value::String(next);
    }
    assert!(pages > 1);
    let object: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(object["status"]["nodeInfo"]["kubeletVersion"], "v1.34.4");
}

#[tokio::test]
async fn pages_of_events_hold_each_group_once() {
    let tools = tools();
    let mut arguments = json!({ "max_tokens": 700 });
    let (mut rows, mut total) = (Vec::new(), 0);
    loop {
        let page = call(&tools, &Caller::process(), "list_events", arguments.clone()).await.text;
        assert!(Budget::estimate(&page) <= 700, "{page}");
        rows.extend(
            page.lines()
                .filter(|line| line.starts_with("Warning") || line.starts_with("Normal"))
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")),
        );
        let count = page.lines().find_map(|line| line.split_once(" groups of events")).unwrap().0;
        total = count.parse().unwrap_or(total);
        let Some(next) = cursor(&page) else { break };
        arguments["cursor"] = Value::String(next);
    }
    assert!(total > 20, "{total}");
    assert_eq!(rows.len(), total);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_call_and_caller_only() {
    let sealer = Sealer::random().unwrap();
    let tools = sealed_by(sealer.clone());
    let first = json!({ "kind": "configmaps", "max_tokens": 400 });
    let page =
        call(&tools, &Caller::process(), "list_resources", json!({ "kind": "events", "max_tokens": 400 }))
            .await;
    let next = cursor(&page.text).unwrap();
    let with = |mut arguments: Value, cursor: &str| {
        arguments["cursor"] = Value::String(cursor.to_owned());
        arguments
    };
    let other = call(&tools, &Caller::process(), "list_resources", with(first, &next)).await;
    assert!(other.is_error && other.text.contains("other arguments"), "{}", other.text);
    let events = json!({ "kind": "events", "max_tokens": 400 });
    let foreign = call(&tools, &Caller::anonymous(), "list_resources", with(events.clone(), &next)).await;
    assert!(foreign.is_error && foreign.text.contains("another caller"), "{}", foreign.text);
    let garbage = call(&tools, &Caller::process(), "list_resources", with(events.clone(), "abc")).await;
    assert!(garbage.is_error && garbage.text.contains("without `cursor`"), "{}", garbage.text);
    // Another replica with the same key goes on where this one ended.
    let replica = sealed_by(sealer);
    let more = call(&replica, &Caller::process(), "list_resources", with(events, &next)).await;
    assert!(!more.is_error, "{}", more.text);
}

#[tokio::test]
async fn no_answer_is_larger_than_it_may_be() {
    let tools = tools();
    for (tool, mut arguments) in [
        ("cluster_overview", json!({})),
        ("list_resources", json!({ "kind": "pods" })),
        ("list_resources", json!({ "kind": "events" })),
        ("get_resource", json!({ "kind": "pod", "namespace": "kube-system", "name": coredns().await })),
        ("get_resource", json!({ "kind": "deployment", "namespace": "shop", "name": "cart" })),
        ("list_kinds", json!({})),
        ("list_events", json!({})),
        ("get_logs", json!({ "namespace": "shop", "labels": "app" })),
        ("list_mcp_servers", json!({})),
        ("get_mcp_server", json!({ "name": "clock" })),
    ] {
        for tokens in [400, 1_000] {
            arguments["max_tokens"] = json!(tokens);
            let answer = call(&tools, &Caller::process(), tool, arguments.clone()).await;
            assert!(!answer.is_error, "{}", answer.text);
            let record = answer.structured.map(|record| record.to_string()).unwrap_or_default();
            let cost = Budget::estimate(&answer.text) + Budget::estimate(&record);
            assert!(cost <= tokens, "{tool} {arguments}: {cost} tokens\n{}", answer.text);
        }
    }
}

async fn coredns() -> String {
    let reader = shop();
    let kinds = reader.kinds().await.unwrap();
    let pods = kinds.resolve("pods").unwrap();
    let names = reader.names(pods, &ListRequest::default()).await.unwrap();
    names.into_iter().map(|(_, name)| name).find(|name| name.starts_with("coredns")).unwrap()
}
