//! rollout_history on recorded clusters.

use serde_json::{Value, json};

use crate::made_cluster::{MadeCluster, call};

fn deployment(revision: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "cart", "namespace": "shop", "uid": "d",
            "annotations": { "deployment.kubernetes.io/revision": revision } },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "cart" } } } })
}

fn replica_set(number: u32, image: &str, password: &str) -> Value {
    let template = json!({ "metadata": { "labels": { "app": "cart", "pod-template-hash": format!("h{number}") } },
        "spec": { "containers": [{ "name": "cart", "image": image, "env": [{ "name": "DB_PASSWORD", "value": password }] }] } });
    json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": format!("cart-h{number}"), "namespace": "shop",
            "creationTimestamp": format!("2026-01-01T{:02}:00:00Z", number % 12),
            "labels": { "app": "cart" }, "ownerReferences": [{ "kind": "Deployment", "name": "cart", "uid": "d", "controller": true }],
            "annotations": { "deployment.kubernetes.io/revision": number.to_string(), "kubernetes.io/change-cause": format!("try {number}") } },
        "spec": { "replicas": if number == 3 { 2 } else { 0 }, "template": template } })
}

fn shop() -> MadeCluster {
    let mut foreign = replica_set(9, "other:1", "x");
    foreign["metadata"]["name"] = json!("other-h9");
    foreign["metadata"]["ownerReferences"][0]["uid"] = json!("other");
    MadeCluster::of(&[
        deployment("3"),
        replica_set(1, "cart:1", "hunter2-one"),
        replica_set(2, "cart:2", "hunter2-one"),
        replica_set(3, "cart:3", "hunter2-two"),
        foreign,
    ])
}

fn cart() -> Value {
    json!({ "kind": "deploy", "name": "cart", "namespace": "shop" })
}

#[tokio::test]
async fn the_current_revision_is_compared_with_the_one_before() {
    let text = shop().ask("rollout_history", cart()).await.text;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("3 current") && lines[1].contains("0/2"), "{text}");
    assert!(lines[1].contains("cart:3") && lines[1].contains("try 3"), "{text}");
    assert!(lines[2].starts_with("2 ") && lines[3].starts_with("1 "), "{text}");
    assert!(text.contains("3 revisions of Deployment shop/cart kept"), "{text}");
    assert!(text.contains("Pod template, revision 2 -> 3:\n"), "{text}");
    assert!(text.contains("spec.containers[name=cart].image: cart:2 -> cart:3"), "{text}");
    assert!(text.contains("env[name=DB_PASSWORD].value: <redacted:") && !text.contains("hunter2"), "{text}");
    assert!(!text.contains("other") && !text.contains("pod-template-hash"), "{text}");
}

#[tokio::test]
async fn any_two_revisions_can_be_compared() {
    let mut asked = cart();
    asked["from"] = json!(1);
    asked["to"] = json!(2);
    let text = shop().ask("rollout_history", asked.clone()).await.text;
    assert!(
        text.contains("revision 1 -> 2:\n  spec.containers[name=cart].image: cart:1 -> cart:2\n"),
        "{text}"
    );
    assert!(!text.contains("PASSWORD"), "{text}");
    asked["to"] = json!(7);
    let missing = shop().ask("rollout_history", asked).await;
    assert!(
        missing.is_error && missing.text.contains("keeps no revision 7: it has 3, 2, 1"),
        "{}",
        missing.text
    );
}

#[tokio::test]
async fn what_has_no_revisions_is_said_in_one_sentence() {
    let asked = json!({ "kind": "rs", "name": "cart-h1", "namespace": "shop" });
    let answer = shop().ask("rollout_history", asked).await;
    assert!(
        answer.is_error && answer.text.contains("a ReplicaSet has no revisions: give a Deployment"),
        "{}",
        answer.text
    );
    let asked = json!({ "kind": "deploy", "name": "crat", "namespace": "shop" });
    let answer = shop().ask("rollout_history", asked).await;
    assert!(answer.is_error && answer.text.contains("nearest: cart"), "{}", answer.text);
    let one = MadeCluster::of(&[deployment("1"), replica_set(1, "cart:1", "x")]);
    let text = one.ask("rollout_history", cart()).await.text;
    assert!(text.contains("No revision before 1 is kept"), "{text}");
}

#[tokio::test]
async fn stateful_sets_and_deployment_configs_have_theirs_elsewhere() {
    let owner = json!([{ "kind": "StatefulSet", "name": "db", "uid": "s", "controller": true }]);
    let kept = |name: &str, number: u32, image: &str| {
        json!({ "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": number,
            "metadata": { "name": name, "namespace": "shop", "labels": { "app": "db" }, "ownerReferences": owner },
            "data": { "spec": { "template": { "$patch": "replace", "spec": { "containers": [{ "name": "db", "image": image }] } } } } })
    };
    let controller = |number: u32, image: &str| {
        json!({ "apiVersion": "v1", "kind": "ReplicationController",
            "metadata": { "name": format!("api-{number}"), "namespace": "shop", "labels": { "openshift.io/deployment-config.name": "api" },
                "annotations": { "openshift.io/deployment-config.latest-version": number.to_string(), "openshift.io/deployment.phase": "Complete" } },
            "spec": { "replicas": 1, "template": { "spec": { "containers": [{ "name": "api", "image": image }] } } } })
    };
    let cluster = MadeCluster::of(&[
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "db", "namespace": "shop", "uid": "s" },
            "spec": { "selector": { "matchLabels": { "app": "db" } } }, "status": { "updateRevision": "db-b" } }),
        kept("db-a", 1, "db:1"),
        kept("db-b", 2, "db:2"),
        json!({ "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig",
            "metadata": { "name": "api", "namespace": "shop", "uid": "c" }, "status": { "latestVersion": 2 } }),
        controller(1, "api:1"),
        controller(2, "api:2"),
    ]);
    for (kind, name, told) in
        [("sts", "db", "image: db:1 -> db:2"), ("deploymentconfig", "api", "image: api:1 -> api:2")]
    {
        let asked = json!({ "kind": kind, "name": name, "namespace": "shop" });
        let text = cluster.ask("rollout_history", asked).await.text;
        assert!(text.contains(told) && text.contains("2 current"), "{text}");
    }
}

#[tokio::test]
async fn a_long_history_is_walked_to_its_end() {
    let mut objects: Vec<Value> = (1..=120).map(|number| replica_set(number, "cart:1", "x")).collect();
    objects.push(deployment("120"));
    let tools = MadeCluster::of(&objects).tools();
    let mut asked = cart();
    asked["max_tokens"] = json!(1_000);
    let mut seen = Vec::new();
    loop {
        let page = call(&tools, "rollout_history", asked.clone()).await;
        assert!(!page.is_error && page.text.len() <= 3_600, "{}", page.text);
        let rows = page.text.lines().filter(|line| line.contains("cart:1"));
        seen.extend(rows.filter_map(|line| line.split_whitespace().next()?.parse::<u32>().ok()));
        let Some(next) = page.text.split("cursor=").nth(1) else { break };
        asked["cursor"] = json!(next.lines().next().unwrap());
    }
    let expected: Vec<u32> = (1..=120).rev().collect();
    assert_eq!(seen, expected);
}
