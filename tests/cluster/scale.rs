//! A namespace with five thousand pods: every tool answers within its budget, and the program stays small.
#![allow(clippy::expect_used, clippy::print_stderr)]

use std::{collections::BTreeSet, process::Command};

use pilothouse::answer::Budget;
use serde_json::{Value, json};

use crate::support::{client, crowd::Crowd, piped::Piped};

const PODS: usize = 5_000;
const TOKENS: usize = 8_000;
/// Of the release; a debug build is several times as large.
const MEGABYTES: f64 = 64.0;

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_pods_cost_no_more_than_the_budget() {
    let crowd = Crowd::gather(client::admin().await, PODS).await.expect("the pods run");
    let namespace = crowd.namespace.clone();
    let tried = tokio::task::spawn_blocking(move || try_all(&namespace)).await;
    crowd.disperse().await.expect("the pods go");
    tried.expect("no panic").expect("the program answers");
}

fn try_all(namespace: &str) -> anyhow::Result<()> {
    let binary =
        std::env::var("PILOTHOUSE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_pilothouse").to_owned());
    let data = tempfile::tempdir()?;
    let mut program =
        Piped::start(Command::new(&binary).args(["serve", "--log", "error", "--data"]).arg(data.path()))?;
    let listed: Value = serde_json::from_str(&program.ask("tools/list", &json!({}))?)?;
    let tools = listed["result"]["tools"].as_array().cloned().unwrap_or_default();
    for (tool, arguments) in tools.iter().filter_map(|tool| asked(tool, namespace)) {
        let called = program.call(&tool, &arguments)?;
        let tokens = Budget::estimate(&"x".repeat(called.bytes));
        eprintln!("{tool}: {tokens} tokens, {:?}, peak {:.0} MB", called.took, program.memory("VmHWM")?);
        assert!(tokens <= TOKENS, "{tool}: {tokens} tokens");
        // What this cluster has no backend for says so; what was asked wrongly would prove nothing.
        assert!(!called.is_error || !called.text.contains("needs `"), "{tool}: {}", called.text);
    }
    walk(&mut program, namespace)?;
    let peak = program.memory("VmHWM")?;
    eprintln!("peak {peak:.1} MB");
    assert!(!binary.contains("release") || peak <= MEGABYTES, "{peak:.1} MB");
    Ok(())
}

/// The arguments to ask this tool of the namespace with; none for one that asks for something else.
fn asked(tool: &Value, namespace: &str) -> Option<(String, Value)> {
    let name = tool["name"].as_str()?;
    let known = &tool["inputSchema"]["properties"];
    let mut arguments = json!({});
    for (key, value) in [
        ("namespace", namespace),
        ("kind", "pods"),
        ("name", "pod-00001"),
        ("verb", "list"),
        ("resource", "pods"),
    ] {
        if known.get(key).is_some() {
            arguments[key] = value.into();
        }
    }
    match name {
        "get_logs" => arguments = json!({ "namespace": namespace, "labels": "team=crowd" }),
        "diagnose" | "what_changed" | "cluster_overview" | "top" => {
            arguments = json!({ "namespace": namespace })
        }
        "list_events" => arguments = json!({ "namespace": namespace }),
        "query_metrics" | "call_tool" => return None,
        _ if name.contains("change") || name.contains("emergency") => return None,
        _ => {}
    }
    Some((name.to_owned(), arguments))
}

fn walk(program: &mut Piped, namespace: &str) -> anyhow::Result<()> {
    let mut arguments = json!({ "kind": "pods", "namespace": namespace });
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = program.call("list_resources", &arguments)?;
        assert!(!page.is_error, "{}", page.text);
        assert!(Budget::estimate(&"x".repeat(page.bytes)) <= TOKENS);
        let names = page.text.lines().filter_map(|line| line.split_whitespace().next());
        seen.extend(names.filter(|name| name.starts_with("pod-")).map(str::to_owned));
        pages += 1;
        assert!(pages < PODS, "the pages come to an end");
        let Some(next) = page.text.split("cursor=").nth(1) else { break };
        arguments["cursor"] = next.trim().into();
    }
    let distinct: BTreeSet<&String> = seen.iter().collect();
    assert_eq!((distinct.len(), seen.len()), (PODS, PODS), "each pod is on one page");
    Ok(())
}
