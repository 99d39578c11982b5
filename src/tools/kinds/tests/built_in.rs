use serde_json::{Value, json};

use super::shown;
use crate::answer::Rank;

#[test]
fn the_fullest_resource_of_a_quota_comes_first() {
    let judge = |used: Value| {
        let hard = json!({ "pods": "10", "limits.memory": "2Gi", "requests.cpu": "1", "services.loadbalancers": "0" });
        shown("", "ResourceQuota", &json!({ "status": { "hard": hard, "used": used } }))
    };
    let (rank, why, cells) = judge(json!({ "pods": "10", "limits.memory": "1Gi", "requests.cpu": "950m" }));
    assert_eq!((rank, why.as_str()), (Rank::Warning, "full: pods 10/10"));
    assert_eq!(cells, ["pods 10/10, requests.cpu 950m/1, limits.memory 1Gi/2Gi, services.loadbalancers 0/0"]);
    let (rank, why, _) = judge(json!({ "requests.cpu": "950m" }));
    assert_eq!((rank, why.as_str()), (Rank::Neutral, "nearly full: requests.cpu 950m/1"));
    assert_eq!(judge(json!({ "limits.memory": "2048Mi" })).0, Rank::Warning);
    assert_eq!(judge(json!({})).0, Rank::Healthy);
}

#[test]
fn a_budget_that_lets_nothing_go_is_told() {
    let judge = |allowed: u32, healthy: u32, desired: u32, pods: u32| {
        let status = json!({ "disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired,
            "expectedPods": pods });
        shown(
            "policy",
            "PodDisruptionBudget",
            &json!({ "spec": { "minAvailable": "50%" }, "status": status }),
        )
    };
    assert_eq!(judge(1, 2, 1, 2).0, Rank::Healthy);
    assert_eq!(judge(1, 2, 1, 2).2, ["50%", "", "1", "2/2"]);
    assert!(judge(0, 2, 2, 2).1.contains("never lets a pod be evicted"));
    assert!(judge(0, 1, 2, 3).1.contains("1 healthy of 2 needed"));
    assert_eq!(judge(0, 0, 0, 0).0, Rank::Neutral);
}

#[test]
fn what_a_network_policy_lets_through() {
    let cells = |spec: Value| shown("networking.k8s.io", "NetworkPolicy", &json!({ "spec": spec })).2;
    let deny = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
    assert_eq!(cells(deny), ["all", "none", "none"]);
    let some = json!({ "podSelector": { "matchLabels": { "app": "web" } }, "ingress": [{ "from": [{}] }, { "ports": [] }] });
    assert_eq!(cells(some), ["app=web", "2 rules", "not limited"]);
    assert_eq!(cells(json!({ "podSelector": {}, "ingress": [{}] }))[1], "all");
}

#[test]
fn volumes_are_judged_by_their_phase() {
    let judge = |phase: &str| {
        let spec = json!({ "capacity": { "storage": "1Gi" }, "claimRef": { "namespace": "shop", "name": "db" },
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "fast" });
        shown(
            "",
            "PersistentVolume",
            &json!({ "spec": spec, "status": { "phase": phase, "message": "disk gone" } }),
        )
    };
    assert_eq!(judge("Bound").0, Rank::Healthy);
    assert_eq!(judge("Bound").2, ["1Gi", "Retain", "Bound", "shop/db", "fast"]);
    assert_eq!(judge("Failed").1, "disk gone");
    assert_eq!(judge("Released").0, Rank::Warning);
}

#[test]
fn extensions_that_are_not_served_are_broken() {
    let condition = |kind: &str, status: &str| json!({ "status": { "conditions": [{ "type": kind, "status": status, "reason": "R" }] } });
    let crd = |kind: &str, status: &str| {
        shown("apiextensions.k8s.io", "CustomResourceDefinition", &condition(kind, status)).0
    };
    assert_eq!(crd("Established", "True"), Rank::Healthy);
    assert_eq!(crd("NamesAccepted", "False"), Rank::Broken);
    assert_eq!(crd("Terminating", "True"), Rank::Warning);
    let api = shown("apiregistration.k8s.io", "APIService", &condition("Available", "False"));
    assert_eq!((api.0, api.1.as_str()), (Rank::Broken, "R"));
    assert_eq!(api.2, ["the API server", "no"]);
    let hooks = json!({ "webhooks": [
        { "clientConfig": { "service": { "namespace": "a", "name": "b" } }, "failurePolicy": "Fail" },
        { "clientConfig": { "service": { "namespace": "a", "name": "b" } }, "failurePolicy": "Fail" }] });
    let (_, _, cells) = shown("admissionregistration.k8s.io", "MutatingWebhookConfiguration", &hooks);
    assert_eq!(cells, ["2", "a/b", "Fail"]);
}

#[test]
fn classes_roles_and_leases_are_short() {
    let class = json!({ "metadata": { "name": "fast", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": "disk", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate" });
    assert_eq!(shown("storage.k8s.io", "StorageClass", &class).2, ["disk", "Delete", "Immediate", "", "yes"]);
    let role = json!({ "rules": [{ "verbs": ["get", "list"], "resources": ["pods"] }, { "verbs": ["get"], "nonResourceURLs": ["/livez"] }] });
    let rbac = "rbac.authorization.k8s.io";
    assert_eq!(shown(rbac, "Role", &role).2, ["get,list pods; get /livez"]);
    assert_eq!(shown(rbac, "ClusterRole", &json!({ "rules": null })).2, ["nothing"]);
    let binding = json!({ "roleRef": { "kind": "Role", "name": "r" },
        "subjects": [{ "kind": "ServiceAccount", "namespace": "shop", "name": "bot" }, { "kind": "Group", "name": "g" }] });
    assert_eq!(shown(rbac, "RoleBinding", &binding).2, ["Role/r", "ServiceAccount shop/bot, Group g"]);
    let lease = |renewed: &str| {
        let spec = json!({ "holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": renewed });
        shown("coordination.k8s.io", "Lease", &json!({ "spec": spec }))
    };
    assert_eq!(lease("2026-01-01T00:59:50.000000Z").2, ["me", "10s ago"]);
    assert_eq!(lease("2026-01-01T00:00:00Z").1, "ran out: lasts 15s");
    let range = json!({ "spec": { "limits": [{ "type": "Container", "default": { "cpu": "1" }, "max": { "cpu": "2", "memory": "1Gi" } }] } });
    assert_eq!(shown("", "LimitRange", &range).2, ["Container: max cpu=2 memory=1Gi, default limit cpu=1"]);
}
