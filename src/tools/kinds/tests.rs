#![allow(clippy::unwrap_used)]

mod built_in;
mod openshift;

use serde_json::{Value, json, value::to_raw_value};

use super::{Endpoints, Facts, View, age, object::duration};
use crate::answer::Rank;

/// Of one object without anything beside it: rank, reason, cells.
fn shown(group: &str, kind: &str, object: &Value) -> (Rank, String, Vec<String>) {
    let facts = Facts::at("2026-01-01T01:00:00Z".parse().unwrap());
    let view = View::built_in(group, kind).unwrap();
    let line = view.line(&to_raw_value(object).unwrap(), &facts).unwrap();
    assert_eq!(line.cells.len(), view.columns().len());
    (line.health.rank, line.health.why, line.cells)
}

fn judged(group: &str, kind: &str, object: &Value, endpoints: Option<Endpoints>) -> (Rank, String) {
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    let facts = Facts { endpoints, ..Facts::at(now) };
    let view = View::built_in(group, kind).unwrap();
    let line = view.line(&to_raw_value(object).unwrap(), &facts).unwrap();
    assert_eq!(line.cells.len(), view.columns().len());
    (line.health.rank, line.health.why)
}

fn pod(status: Value) -> (Rank, String) {
    let meta = json!({ "name": "p", "namespace": "n", "creationTimestamp": "2026-01-01T00:00:00Z" });
    judged(
        "",
        "Pod",
        &json!({ "metadata": meta, "spec": { "containers": [{ "name": "c" }] }, "status": status }),
        None,
    )
}

#[test]
fn pods_are_judged_by_their_worst_container() {
    let waiting = |reason: &str| {
        json!({ "phase": "Pending", "containerStatuses": [
        { "name": "c", "state": { "waiting": { "reason": reason, "message": "m" } } }] })
    };
    assert_eq!(pod(waiting("ImagePullBackOff")), (Rank::Broken, "container c: ImagePullBackOff: m".into()));
    let crash = json!({ "phase": "Running", "containerStatuses": [{ "name": "c", "restartCount": 4,
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:59:00Z" } } }] });
    let why = "container c: CrashLoopBackOff, last exit 137 OOMKilled 60s ago, 4 restarts";
    assert_eq!(pod(crash), (Rank::Broken, why.into()));
    let fresh = json!({ "phase": "Running", "containerStatuses": [{ "name": "c", "ready": true, "restartCount": 1,
        "state": { "running": {} },
        "lastState": { "terminated": { "exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T00:30:00Z" } } }] });
    assert_eq!(pod(fresh).0, Rank::Warning);
    let unscheduled = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/3 nodes" }] });
    assert_eq!(pod(unscheduled), (Rank::Broken, "not scheduled: Unschedulable: 0/3 nodes".into()));
    assert_eq!(pod(json!({ "phase": "Succeeded" })).0, Rank::Healthy);
    let unready =
        json!({ "phase": "Running", "containerStatuses": [{ "name": "c", "state": { "running": {} } }] });
    assert_eq!(pod(unready), (Rank::Warning, "not ready: container c".into()));
    let running = json!({ "phase": "Running", "containerStatuses": [{ "name": "c", "ready": true, "state": { "running": {} } }] });
    assert_eq!(pod(running).0, Rank::Healthy);
}

#[test]
fn workloads_are_judged_by_what_is_missing() {
    let judge = |kind: &str, spec: Value, status: Value| {
        judged("apps", kind, &json!({ "spec": spec, "status": status }), None)
    };
    assert_eq!(
        judge("Deployment", json!({ "replicas": 2 }), json!({})),
        (Rank::Broken, "0/2 available".into())
    );
    let half = json!({ "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 2 });
    assert_eq!(judge("Deployment", json!({ "replicas": 2 }), half), (Rank::Warning, "1/2 ready".into()));
    assert_eq!(judge("Deployment", json!({ "replicas": 0 }), json!({})).0, Rank::Healthy);
    assert_eq!(
        judge("StatefulSet", json!({ "replicas": 3 }), json!({ "readyReplicas": 3 })).0,
        Rank::Healthy
    );
    assert_eq!(
        judge("DaemonSet", json!({}), json!({ "desiredNumberScheduled": 2, "numberReady": 1 })).0,
        Rank::Warning
    );
    let failed =
        json!({ "conditions": [{ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded" }] });
    assert_eq!(
        judged("batch", "Job", &json!({ "status": failed }), None),
        (Rank::Broken, "BackoffLimitExceeded".into())
    );
}

#[test]
fn a_service_is_judged_by_its_endpoints() {
    let slice = |service: &str, ready: bool| {
        to_raw_value(&json!({
        "metadata": { "namespace": "n", "labels": { "kubernetes.io/service-name": service } },
        "endpoints": [{ "conditions": { "ready": ready } }] }))
        .unwrap()
    };
    let mut endpoints = Endpoints::default();
    endpoints.add(&slice("good", true));
    endpoints.add(&slice("bad", false));
    let judge = |name: &str, known: Option<Endpoints>| {
        judged(
            "",
            "Service",
            &json!({
        "metadata": { "name": name, "namespace": "n" }, "spec": { "selector": { "app": "x" } } }),
            known,
        )
        .0
    };
    assert_eq!(judge("good", Some(endpoints.clone())), Rank::Healthy);
    assert_eq!(judge("bad", Some(endpoints.clone())), Rank::Broken);
    assert_eq!(judge("none", Some(endpoints)), Rank::Broken);
    assert_eq!(judge("none", None), Rank::Neutral);
}

#[test]
fn nodes_and_claims() {
    let node = |status: &str| json!({ "status": { "conditions": [{ "type": "Ready", "status": status, "reason": "R" }] } });
    assert_eq!(judged("", "Node", &node("True"), None).0, Rank::Healthy);
    assert_eq!(judged("", "Node", &node("Unknown"), None), (Rank::Broken, "not ready, R".into()));
    assert_eq!(
        judged("", "PersistentVolumeClaim", &json!({ "status": { "phase": "Lost" } }), None).0,
        Rank::Broken
    );
}

#[test]
fn ages_as_kubectl_says_them() {
    for (seconds, shown) in [
        (-5, "0s"),
        (119, "119s"),
        (125, "2m5s"),
        (660, "11m"),
        (11_520, "3h12m"),
        (90_000, "25h"),
        (187_200, "2d4h"),
        (3_888_000, "45d"),
    ] {
        assert_eq!(duration(seconds), shown);
    }
    assert_eq!(age(None, jiff::Timestamp::UNIX_EPOCH), "");
}
