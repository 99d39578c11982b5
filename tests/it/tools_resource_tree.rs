//! resource_tree on recorded clusters.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    made_cluster::{MadeCluster, call},
    recorded_shop::{folder, tools_on},
};

async fn tree(kind: &str, name: &str) -> String {
    let asked = json!({ "kind": kind, "name": name, "namespace": "shop" });
    let answer = call(&tools_on(&folder()), "resource_tree", asked).await;
    assert!(!answer.is_error, "{}", answer.text);
    answer.text
}

#[tokio::test]
async fn a_broken_deployment_is_shown_down_to_its_pods() {
    let text = tree("deploy", "cart").await;
    assert!(text.starts_with("In namespace shop, as recorded at 2026-"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("Deployment cart  ready 0/2  Broken: 0/2 available"), "{text}");
    assert!(lines[2].starts_with("  owns ReplicaSet cart-"), "{text}");
    assert!(lines[3].starts_with("    owns Pod cart-") && lines[3].contains("CrashLoopBackOff"), "{text}");
    assert!(text.contains("not readable, so nothing of it is shown: secrets"), "{text}");
}

#[tokio::test]
async fn a_service_that_selects_nothing_says_so_and_a_pod_shows_its_workload() {
    let text = tree("service", "checkout").await;
    assert!(text.contains("\nService checkout  endpoints 0/0  Broken: selects no pod"), "{text}");
    let text = tree("sts", "orders-db").await;
    assert!(text.contains("StatefulSet orders-db") && text.contains("  owns Pod orders-db-0"), "{text}");
    let text = tree("pod", "orders-db-0").await;
    assert!(text.contains("\nStatefulSet orders-db") && text.contains("<- asked for"), "{text}");
}

#[tokio::test]
async fn what_is_owned_is_found_whatever_its_kind() {
    let owner = json!([{ "apiVersion": "shop.example.com/v1", "kind": "Widget", "name": "w", "uid": "w", "controller": true }]);
    let cluster = MadeCluster::of(&[
        json!({ "apiVersion": "shop.example.com/v1", "kind": "Widget", "metadata": { "name": "w", "namespace": "shop", "uid": "w" },
            "status": { "conditions": [{ "type": "Ready", "status": "False", "reason": "Rust" }] } }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "conf", "namespace": "shop", "uid": "c", "ownerReferences": owner } }),
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "w", "namespace": "shop", "uid": "d", "ownerReferences": owner },
            "spec": { "replicas": 1, "template": { "spec": { "serviceAccountName": "gone", "containers": [{ "name": "w" }] } } } }),
    ]);
    let asked = json!({ "kind": "cm", "name": "conf", "namespace": "shop" });
    let text = cluster.ask("resource_tree", asked).await.text;
    assert!(text.contains("\nWidget w  Broken: Ready=False Rust\n"), "{text}");
    assert!(
        text.contains("  owns ConfigMap conf  <- asked for") && text.contains("  owns Deployment w"),
        "{text}"
    );
    assert!(text.contains("    uses ServiceAccount gone (identity)  missing  Broken"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_shown_is_said_in_one_sentence() {
    let tools = tools_on(&folder());
    for (arguments, told) in [
        (json!({ "kind": "node", "name": "pilothouse" }), "a Node is in none"),
        (json!({ "kind": "deploy", "name": "crat", "namespace": "shop" }), "nearest: cart"),
        (json!({ "kind": "deploy", "name": "cart" }), "a Deployment needs a `namespace`"),
    ] {
        let answer = call(&tools, "resource_tree", arguments).await;
        assert!(
            answer.is_error && answer.text.contains(told) && answer.text.lines().count() == 1,
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn a_tree_of_thousands_stays_small() {
    let owner = |kind: &str, uid: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": uid, "controller": true }]);
    let mut objects = vec![
        json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "web", "namespace": "shop", "uid": "r" },
            "spec": { "replicas": 3_000, "template": { "spec": { "containers": [{}] } } } }),
    ];
    objects.extend((0..3_000).map(|at| -> Value {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("web-{at}"), "namespace": "shop", "uid": format!("p{at}"),
                "ownerReferences": owner("ReplicaSet", "r") },
            "spec": { "containers": [{ "name": "c" }] },
            "status": { "phase": "Running", "containerStatuses": [{ "name": "c", "ready": at % 2 == 0, "state": { "running": {} } }] } })
    }));
    let tools = MadeCluster::of(&objects).tools();
    let mut asked = json!({ "kind": "rs", "name": "web", "namespace": "shop", "max_tokens": 1_000 });
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let text = call(&tools, "resource_tree", asked.clone()).await.text;
        assert!(text.len() <= if pages == 0 { 3_600 } else { 28_800 }, "{text}");
        if pages == 0 {
            assert!(text.lines().nth(2).unwrap().contains("Warning: not ready"), "{text}");
            assert!(text.contains("\n3001 objects, shown 1-"), "{text}");
            asked["max_tokens"] = 8_000.into();
        }
        let pods = text.lines().filter_map(|line| line.trim().strip_prefix("owns Pod "));
        seen.extend(pods.map(|line| line.split(' ').next().unwrap().to_owned()));
        pages += 1;
        let Some(next) = text.split("cursor=").nth(1) else {
            assert!(text.ends_with("-3001, the end\n"), "{text}");
            break;
        };
        asked["cursor"] = next.trim().into();
    }
    let distinct: BTreeSet<&String> = seen.iter().collect();
    assert_eq!((distinct.len(), seen.len()), (3_000, 3_000), "each pod is on one page");
}
