//! A Deployment `shop/web` and what is said of it, for tests.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    asked::{Asked, Wanted},
    recorded::{Deed, Recorded},
    scope::{Scope, WatchedKind},
    snapshot::Snapshot,
    tracker::Shelf,
    write::{ObjectRef, Verb, Witness, Write},
};

pub(super) fn kind() -> WatchedKind {
    WatchedKind {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        kind: "Deployment".to_owned(),
        plural: "deployments".to_owned(),
        namespaced: true,
    }
}

pub(super) fn scope() -> Scope {
    let mut scope = Scope::new(Default::default(), Some("pilothouse".to_owned()));
    scope.learn(&kind());
    scope
}

pub(super) fn shelf() -> Shelf {
    Shelf { group: "apps".to_owned(), kind: "Deployment".to_owned(), namespace: None }
}

pub(super) fn object() -> ObjectRef {
    ObjectRef {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("shop".to_owned()),
        name: "web".to_owned(),
    }
}

pub(super) fn at(second: &str) -> Timestamp {
    format!("2026-11-22T10:00:{second}Z").parse().unwrap()
}

/// As the API server shows it, at that version.
pub(super) fn deployment(version: &str, replicas: i64, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u-web", "resourceVersion": version, "generation": 1,
            "creationTimestamp": "2026-11-01T00:00:00Z", "labels": {"app": "web"},
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "managedFields": [hand("kubectl-create", "Update", "", "2026-11-01T00:00:00Z")],
        },
        "spec": { "replicas": replicas, "template": { "metadata": {"labels": {"app": "web"}}, "spec": {
            "containers": [{"name": "web", "image": image}] } } },
        "status": { "observedGeneration": 1 },
    })
}

pub(super) fn hand(manager: &str, operation: &str, subresource: &str, time: &str) -> Value {
    let mut hand = json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": time,
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
    if !subresource.is_empty() {
        hand["subresource"] = json!(subresource);
    }
    hand
}

/// With one more entry in `managedFields`.
pub(super) fn written_by(mut object: Value, manager: &str, time: &str) -> Value {
    let hands = object["metadata"]["managedFields"].as_array_mut().unwrap();
    hands.push(hand(manager, "Update", "", time));
    object
}

pub(super) fn snapshot(object: &Value) -> Snapshot {
    Snapshot::of("apps", "Deployment", object).unwrap()
}

/// Ann's question for two contents that are called `found` and `wanted`.
pub(super) fn asked(review: &str, user: &str, before: &str, wanted: &str) -> Asked {
    Asked {
        at: at("05"),
        review: review.to_owned(),
        object: object(),
        uid: Some("u-web".to_owned()),
        user: user.to_owned(),
        before: Some(before.to_owned()),
        found: Some(format!("content-{before}")),
        wanted: Wanted::Content(format!("content-{wanted}")),
    }
}

/// The API server's own record of one write, by somebody who called himself that.
pub(super) fn recorded(id: &str, user: &str, manager: &str) -> Recorded {
    Recorded {
        id: id.to_owned(),
        object: object(),
        uid: None,
        deed: Deed::Patch,
        user: user.to_owned(),
        manager: manager.to_owned(),
        version: None,
        received: at("05"),
        done: at("05"),
    }
}

pub(super) fn write(version: &str, at: Timestamp) -> Write {
    Write {
        at,
        object: object(),
        uid: "u-web".to_owned(),
        version: version.to_owned(),
        verb: Verb::Update,
        users: vec!["ann".to_owned()],
        manager: Some("kubectl-edit".to_owned()),
        fields: Vec::new(),
        witnesses: vec![Witness::Watch],
    }
}
