//! `rollout.gate: contract` with real pods: a revision that would break callers does not become ready, and the one
//! before it serves on.

use std::time::Duration;

use k8s_openapi::api::{core::v1::Pod, events::v1::Event};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::support::{
    own_operator::solo,
    wait::until,
    whole::{STARTED, Whole, env, spec, tool},
};

fn holds(pod: &Pod, condition: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|one| one.type_ == condition && one.status == "True")
}

/// Whether containers are ready, the gate is open, and the pod is ready, of each pod, the oldest first.
async fn pods(pods: &Api<Pod>) -> Vec<[bool; 3]> {
    let mut found = pods.list(&ListParams::default()).await.expect("pods can be listed").items;
    found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    found.sort_by_key(|pod| (pod.creation_timestamp().map(|time| time.0), pod.name_any()));
    found
        .iter()
        .map(|pod| {
            ["ContainersReady", "pilothouse.dev/verified", "Ready"].map(|condition| holds(pod, condition))
        })
        .collect()
}

fn object() -> Value {
    json!({ "type": "object", "properties": { "q": { "type": "string" } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_breaks_callers_is_held_until_it_is_allowed() {
    let scratch = solo("gate");
    let whole = Whole::start(scratch.name()).await;
    let all: Api<Pod> = Api::namespaced(whole.client.clone(), scratch.name());
    let mut first = spec("one", &json!([tool("look", object()), tool("list", object())]));
    first["rollout"] = json!({ "gate": "contract" });
    whole.create(first).await;
    whole.is_listed("demo_look").await;
    assert_eq!(pods(&all).await, [[true, true, true]]);
    assert_eq!(whole.call("demo_look").await, "one look");
    whole.condition_becomes("RolloutHeld", "False NotHeld", STARTED).await;

    // It misses a tool, and wants of another what nobody sends.
    let required =
        json!({ "type": "object", "properties": { "q": { "type": "string" }, "n": {} }, "required": ["n"] });
    whole.change(json!({ "env": env("two", &json!([tool("look", required.clone())])) })).await;
    let said = whole.condition_becomes("RolloutHeld", "True BreakingChange", STARTED).await;
    assert!(said.contains("tool list is missing") && said.contains("tool look: n is required now"), "{said}");
    assert!(said.contains("spec.rollout.allowBreaking"), "{said}");
    assert_eq!(pods(&all).await, [[true, true, true], [true, false, false]]);
    let events: Api<Event> = Api::namespaced(whole.client.clone(), scratch.name());
    until("an event tells of it", Duration::from_secs(20), || async {
        let events = events.list(&ListParams::default()).await.ok()?;
        let told = |event: &Event| {
            event.reason.as_deref() == Some("BreakingChange")
                && event.note.as_deref().is_some_and(|note| note.contains("tool list is missing"))
        };
        events.items.iter().any(told).then_some(())
    })
    .await;
    // It stays so.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(pods(&all).await, [[true, true, true], [true, false, false]]);
    assert_eq!(whole.call("demo_list").await, "one list");

    whole.change(json!({ "rollout": { "gate": "contract", "allowBreaking": true } })).await;
    until("the new revision serves", STARTED, || async {
        (pods(&all).await == [[true, true, true]] && whole.call("demo_look").await == "two look")
            .then_some(())
    })
    .await;
    whole.condition_becomes("RolloutHeld", "False", STARTED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_speak_mcp_is_held_and_one_that_only_adds_passes() {
    let scratch = solo("gate-silent");
    let whole = Whole::start(scratch.name()).await;
    let all: Api<Pod> = Api::namespaced(whole.client.clone(), scratch.name());
    let mut first = spec("one", &json!([tool("look", object())]));
    first["rollout"] = json!({ "gate": "contract" });
    whole.create(first.clone()).await;
    whole.is_listed("demo_look").await;

    let website = "require('http').createServer((_, response) => response.end('hello')).listen(8080)";
    whole.change(json!({ "command": ["node", "-e", website] })).await;
    let said = whole.condition_becomes("RolloutHeld", "True NoHandshake", STARTED).await;
    assert!(said.contains("does not answer as an MCP server"), "{said}");
    assert_eq!(pods(&all).await, [[true, true, true], [true, false, false]]);
    assert_eq!(whole.call("demo_look").await, "one look");

    let more = json!([tool("look", object()), tool("more", object())]);
    whole.change(json!({ "command": first["command"], "env": env("three", &more) })).await;
    whole.is_listed("demo_more").await;
    until("only the new revision is left", STARTED, || async {
        (pods(&all).await == [[true, true, true]]).then_some(())
    })
    .await;
    assert_eq!(whole.call("demo_look").await, "three look");
    whole.condition_becomes("RolloutHeld", "False NotHeld", STARTED).await;
}
