//! find_source on recorded clusters: it names what the objects prove, and nothing else.

use pilothouse::{caller::Caller, tools::Sought};
use serde_json::{Value, json};

use crate::made_cluster::MadeCluster;

fn deployment(labels: Value, annotations: Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "cart", "namespace": "shop", "uid": "d",
        "labels": labels, "annotations": annotations,
        "managedFields": [{ "manager": "kubectl-client-side-apply", "operation": "Update", "time": "2026-01-01T11:00:00Z" }] } })
}

fn owned(kind: &str, name: &str, uid: &str, owner: (&str, &str, &str)) -> Value {
    let (owner_kind, owner_name, owner_uid) = owner;
    let api = if kind == "Pod" { "v1" } else { "apps/v1" };
    json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name, "namespace": "shop", "uid": uid,
        "ownerReferences": [{ "apiVersion": "apps/v1", "kind": owner_kind, "name": owner_name, "uid": owner_uid, "controller": true }] } })
}

fn application(namespace: &str, resources: Value) -> Value {
    json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": { "name": "store", "namespace": namespace },
        "spec": { "source": { "repoURL": "https://bot:hunter2-git@git.example/shop", "path": "prod", "targetRevision": "main" },
            "syncPolicy": { "automated": { "selfHeal": true } } },
        "status": { "sync": { "status": "OutOfSync", "revision": "3f2a9c" }, "health": { "status": "Healthy" }, "resources": resources } })
}

fn cart_resource() -> Value {
    json!([{ "group": "apps", "kind": "Deployment", "namespace": "shop", "name": "cart", "status": "OutOfSync" }])
}

fn cart() -> Value {
    json!({ "kind": "deployment", "name": "cart", "namespace": "shop" })
}

#[tokio::test]
async fn a_pod_comes_from_where_its_deployment_comes_from() {
    let tracked = json!({ "argocd.argoproj.io/tracking-id": "store:apps/Deployment:shop/cart" });
    let cluster = MadeCluster::of(&[
        deployment(json!({}), tracked),
        owned("ReplicaSet", "cart-a", "r", ("Deployment", "cart", "d")),
        owned("Pod", "cart-a-1", "p", ("ReplicaSet", "cart-a", "r")),
        application("argocd", cart_resource()),
    ]);
    let answer =
        cluster.ask("find_source", json!({ "kind": "pod", "name": "cart-a-1", "namespace": "shop" })).await;
    let text = &answer.text;
    assert!(
        text.starts_with("Pod shop/cart-a-1 is applied by Argo CD: Application argocd/store\n"),
        "{text}"
    );
    assert!(text.contains("git.example/shop, path prod, revision main, in the cluster 3f2a9c"), "{text}");
    assert!(text.contains("state: OutOfSync, this object OutOfSync, health Healthy"), "{text}");
    assert!(text.contains("changes by hand are undone"), "{text}");
    assert!(text.contains("on Deployment shop/cart, which owns Pod shop/cart-a-1"), "{text}");
    let record = answer.structured.unwrap();
    assert_eq!(
        (&record["known"], &record["origins"][0]["sources"][0]["path"]),
        (&json!(true), &json!("prod"))
    );
    assert!(!text.contains("hunter2") && !record.to_string().contains("hunter2"), "{text} {record}");
}

#[tokio::test]
async fn a_label_that_others_use_too_counts_only_when_the_application_says_so() {
    let labelled = || deployment(json!({ "app.kubernetes.io/instance": "store" }), json!({}));
    let proven = MadeCluster::of(&[
        labelled(),
        application("argocd", cart_resource()),
        application("other", json!([])),
    ]);
    let text = proven.ask("find_source", cart()).await.text;
    assert!(
        text.contains("Application argocd/store") && text.contains("label app.kubernetes.io/instance=store"),
        "{text}"
    );
    let unproven = MadeCluster::of(&[labelled(), application("argocd", json!([]))]);
    let answer = unproven.ask("find_source", cart()).await;
    assert!(answer.text.starts_with("Not known where Deployment shop/cart comes from"), "{}", answer.text);
    assert!(answer.text.contains("Written by kubectl-client-side-apply 60m ago"), "{}", answer.text);
    assert_eq!(answer.structured.unwrap(), json!({ "known": false, "origins": [] }));
}

#[tokio::test]
async fn a_flux_release_is_followed_to_the_git_repository_it_stands_in() {
    let by = |name: &str, domain: &str, namespace: &str| {
        let mut labels = serde_json::Map::new();
        labels.insert(format!("{domain}/name"), json!(name));
        labels.insert(format!("{domain}/namespace"), json!(namespace));
        Value::Object(labels)
    };
    let cluster = MadeCluster::of(&[
        deployment(
            by("cart", "helm.toolkit.fluxcd.io", "shop"),
            json!({ "meta.helm.sh/release-name": "cart", "meta.helm.sh/release-namespace": "shop" }),
        ),
        json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": { "name": "cart", "namespace": "shop", "labels": by("apps", "kustomize.toolkit.fluxcd.io", "flux-system") },
            "spec": { "chart": { "spec": { "chart": "cart", "version": "1.x", "sourceRef": { "kind": "HelmRepository", "name": "own" } } } },
            "status": { "conditions": [{ "type": "Ready", "status": "False", "reason": "UpgradeFailed", "message": "timed out" }] } }),
        json!({ "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": { "name": "apps", "namespace": "flux-system" },
            "spec": { "path": "./apps", "sourceRef": { "kind": "GitRepository", "name": "fleet" } },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }], "lastAppliedRevision": "main@sha1:abc" } }),
        json!({ "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": { "name": "fleet", "namespace": "flux-system" },
            "spec": { "url": "ssh://git@git.example/fleet", "ref": { "branch": "main" } } }),
    ]);
    let text = cluster.ask("find_source", cart()).await.text;
    assert!(
        text.contains("applied by Flux: HelmRelease shop/cart")
            && text.contains("not applied: UpgradeFailed timed out"),
        "{text}"
    );
    let second =
        text.split("HelmRelease shop/cart is applied by Flux: Kustomization flux-system/apps").nth(1);
    assert!(second.unwrap().contains("git.example/fleet, path ./apps, revision main"), "{text}");
}

#[tokio::test]
async fn an_applier_that_is_not_there_is_said() {
    let tracked = json!({ "argocd.argoproj.io/tracking-id": "gone:apps/Deployment:shop/cart" });
    let answer = MadeCluster::of(&[deployment(json!({}), tracked)]).ask("find_source", cart()).await;
    assert!(
        answer.text.contains("Application gone cannot be read: there is none of that name"),
        "{}",
        answer.text
    );
    assert_eq!(answer.structured.unwrap()["known"], false);
    let missing = MadeCluster::of(&[]).ask("find_source", cart()).await;
    assert!(
        missing.is_error && missing.text.starts_with("there is no Deployment `cart`"),
        "{}",
        missing.text
    );
}

#[tokio::test]
async fn other_rooms_are_told_the_same_with_the_applier_itself() {
    let tracked = json!({ "argocd.argoproj.io/tracking-id": "store:apps/Deployment:shop/cart" });
    let cluster = MadeCluster::of(&[
        deployment(json!({}), tracked),
        owned("ReplicaSet", "cart-a", "r", ("Deployment", "cart", "d")),
        owned("Pod", "cart-a-1", "p", ("ReplicaSet", "cart-a", "r")),
        application("argocd", cart_resource()),
    ]);
    let finder = cluster.finder();
    let sought = |kind: &str, name: &str| Sought {
        kind: kind.into(),
        namespace: Some("shop".into()),
        name: name.into(),
    };
    let trace = finder.trace(&Caller::process(), &sought("Deployment.apps", "cart")).await.unwrap();
    assert_eq!((trace.object["metadata"]["uid"].as_str(), &trace.owner), (Some("d"), &None));
    let [applied] = trace.origins.as_slice() else { panic!("{trace:?}") };
    assert_eq!((applied.tool.as_str(), applied.by.as_str()), ("Argo CD", "Application argocd/store"));
    assert_eq!(applied.applier.as_ref().unwrap()["spec"]["source"]["path"], "prod");
    let trace = finder.trace(&Caller::process(), &sought("Pod", "cart-a-1")).await.unwrap();
    assert_eq!(trace.owner.unwrap()["metadata"]["uid"], "d");
    let refused = finder.trace(&Caller::process(), &sought("Pod", "gone")).await.unwrap_err();
    assert!(refused.contains("gone"), "{refused}");
}
