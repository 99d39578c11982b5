#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::edits;
use crate::tools::{Live, Modification};

fn live() -> Live {
    Live {
        object: json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "labels": { "team": "shop" }, "finalizers": ["a/b"] },
            "spec": { "replicas": 2, "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } },
                "template": { "spec": { "containers": [
                    { "name": "side", "image": "side:1", "args": ["-a", "-b"] },
                    { "name": "web", "image": "web:1", "env": [{ "name": "A", "value": "1" }],
                        "ports": [{ "containerPort": 80 }] }] } } } }),
        schema: None,
        scaler: None,
    }
}

fn said(change: Modification, live: Option<&Live>) -> Result<Vec<(String, Value)>, String> {
    let edits = edits(change, "Deployment", live)?;
    Ok(edits.into_iter().map(|edit| (edit.path.to_string(), edit.new)).collect())
}

fn seen(change: Modification) -> Vec<(String, Value)> {
    said(change, Some(&live())).unwrap()
}

fn pod(container: Value) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
}

const WEB: &str = "spec.template.spec.containers[name=web]";

#[test]
fn a_merge_patch_names_its_leaves() {
    let patch = json!({ "spec": { "replicas": 3, "paused": null, "strategy": { "rollingUpdate": { "maxSurge": 2 } } },
        "metadata": { "labels": { "tier": "front" }, "annotations": { "example.com/x": "y", "gone": null } } });
    assert_eq!(
        seen(Modification::MergePatch(patch.clone())),
        [
            ("spec.replicas".to_owned(), json!(3)),
            ("spec.paused".to_owned(), json!(null)),
            ("spec.strategy.rollingUpdate.maxSurge".to_owned(), json!(2)),
            ("metadata.labels.tier".to_owned(), json!("front")),
            // Nothing is there yet: it becomes this, without what would be removed.
            ("metadata.annotations".to_owned(), json!({ "example.com/x": "y" })),
        ]
    );
    // What the object has already is named too: Git may not have it.
    assert_eq!(seen(Modification::MergePatch(json!({ "spec": { "replicas": 2 } }))).len(), 1);
    let blind = said(Modification::MergePatch(patch), None).unwrap();
    assert!(blind.contains(&("metadata.annotations.\"example.com/x\"".to_owned(), json!("y"))), "{blind:?}");
    // Lists are one value.
    let list = seen(Modification::MergePatch(json!({ "metadata": { "finalizers": [] } })));
    assert_eq!(list, [("metadata.finalizers".to_owned(), json!([]))]);
}

#[test]
fn a_strategic_patch_finds_items_by_their_keys() {
    let patch = pod(json!({ "name": "web", "image": "web:2",
        "env": [{ "name": "A", "value": "2" }, { "name": "B", "value": "3" }, { "name": "C", "$patch": "delete" }],
        "ports": [{ "containerPort": 80, "name": "http" }], "args": ["-c"] }));
    let edits = seen(Modification::StrategicPatch(patch.clone()));
    assert_eq!(
        edits,
        [
            (format!("{WEB}.image"), json!("web:2")),
            (format!("{WEB}.env[name=A].value"), json!("2")),
            (format!("{WEB}.env[name=B]"), json!({ "name": "B", "value": "3" })),
            (format!("{WEB}.ports[containerPort=80].name"), json!("http")),
            (format!("{WEB}.args"), json!(["-c"])),
        ]
    );
    // Without the object the items are taken to be there.
    let blind = said(Modification::StrategicPatch(patch), None).unwrap();
    assert!(blind.contains(&(format!("{WEB}.env[name=B].value"), json!("3"))), "{blind:?}");
}

#[test]
fn directives_of_a_strategic_patch_are_kept() {
    let of = |patch: Value| seen(Modification::StrategicPatch(patch));
    assert_eq!(
        of(pod(json!({ "name": "side", "$patch": "delete" }))),
        [("spec.template.spec.containers[name=side]".to_owned(), json!(null))]
    );
    assert_eq!(
        of(json!({ "spec": { "strategy": { "$patch": "replace", "type": "Recreate" } } })),
        [("spec.strategy".to_owned(), json!({ "type": "Recreate" }))]
    );
    assert_eq!(
        of(json!({ "spec": { "strategy": { "$retainKeys": ["type"], "type": "Recreate" } } })),
        [("spec.strategy.rollingUpdate".to_owned(), json!(null)), ("spec.strategy.type".to_owned(), json!("Recreate"))]
    );
    assert_eq!(
        of(json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a/b"] } })),
        [("metadata.finalizers".to_owned(), json!([]))]
    );
    assert_eq!(
        of(json!({ "metadata": { "finalizers": ["c/d"], "$setElementOrder/finalizers": ["c/d", "a/b"] } })),
        [("metadata.finalizers".to_owned(), json!(["a/b", "c/d"]))]
    );
    let whole = json!({ "spec": { "template": { "spec": { "containers": [{ "$patch": "replace" }, { "name": "new", "image": "x" }] } } } });
    assert_eq!(
        of(whole),
        [("spec.template.spec.containers".to_owned(), json!([{ "name": "new", "image": "x" }]))]
    );
}

#[test]
fn the_schema_says_how_a_list_is_merged() {
    let list = |marks: Value| {
        let mut items = json!({ "type": "array", "items": { "type": "object" } });
        for (key, value) in marks.as_object().unwrap() {
            items[key] = value.clone();
        }
        let schema = json!({ "properties": { "spec": { "properties": { "routes": items } } } });
        let object = json!({ "spec": { "routes": [{ "host": "a", "to": 1 }] } });
        Live { object, schema: Some(std::sync::Arc::new(schema)), scaler: None }
    };
    let patch = || Modification::StrategicPatch(json!({ "spec": { "routes": [{ "host": "a", "to": 2 }] } }));
    let by_key = list(json!({ "x-kubernetes-patch-merge-key": "host", "x-kubernetes-patch-strategy": "merge" }));
    assert_eq!(said(patch(), Some(&by_key)).unwrap(), [("spec.routes[host=a].to".to_owned(), json!(2))]);
    let of_map = list(json!({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["host"] }));
    assert_eq!(said(patch(), Some(&of_map)).unwrap()[0].0, "spec.routes[host=a].to");
    let whole = list(json!({}));
    assert_eq!(said(patch(), Some(&whole)).unwrap()[0].0, "spec.routes");
}

#[test]
fn a_json_patch_is_made_on_the_object_and_names_items_by_their_keys() {
    let of = |patch: Value| seen(Modification::JsonPatch(patch.as_array().unwrap().clone()));
    let containers = "/spec/template/spec/containers";
    assert_eq!(
        of(json!([
            { "op": "test", "path": "/spec/replicas", "value": 2 },
            { "op": "replace", "path": "/spec/replicas", "value": 4 },
            { "op": "replace", "path": format!("{containers}/1/image"), "value": "web:2" },
            { "op": "add", "path": format!("{containers}/1/env/-"), "value": { "name": "B", "value": "x" } },
            { "op": "add", "path": "/metadata/labels/example.com~1x", "value": "y" },
            { "op": "remove", "path": format!("{containers}/0") },
        ])),
        [
            ("spec.replicas".to_owned(), json!(4)),
            (format!("{WEB}.image"), json!("web:2")),
            (format!("{WEB}.env[name=B]"), json!({ "name": "B", "value": "x" })),
            ("metadata.labels.\"example.com/x\"".to_owned(), json!("y")),
            ("spec.template.spec.containers[name=side]".to_owned(), json!(null)),
        ]
    );
    // Items without a name of their own stand for the whole list.
    assert_eq!(
        of(json!([{ "op": "remove", "path": format!("{containers}/0/args/0") }])),
        [("spec.template.spec.containers[name=side].args".to_owned(), json!(["-b"]))]
    );
    assert_eq!(
        of(json!([{ "op": "move", "from": "/metadata/labels/team", "path": "/metadata/labels/group" }])),
        [("metadata.labels.team".to_owned(), json!(null)), ("metadata.labels.group".to_owned(), json!("shop"))]
    );
    // What is inside of something else that changes is said once.
    assert_eq!(
        of(json!([
            { "op": "replace", "path": "/spec/strategy", "value": { "type": "Recreate" } },
            { "op": "add", "path": "/spec/strategy/x", "value": 1 },
        ])),
        [("spec.strategy".to_owned(), json!({ "type": "Recreate", "x": 1 }))]
    );
}

#[test]
fn replicas_are_a_field_of_workloads() {
    assert_eq!(seen(Modification::Replicas(0)), [("spec.replicas".to_owned(), json!(0))]);
    let refused = edits(Modification::Replicas(3), "HorizontalPodAutoscaler", None).unwrap_err();
    assert!(refused.contains("spec.maxReplicas"), "{refused}");
    assert!(edits(Modification::Replicas(3), "DaemonSet", None).unwrap_err().contains("each node"));
}

#[test]
fn what_is_no_patch_is_said() {
    let json_patch = |patch: Value| Modification::JsonPatch(patch.as_array().unwrap().clone());
    let of_pod = |container: Value| Modification::StrategicPatch(pod(container));
    for (change, says) in [
        (Modification::MergePatch(json!([])), "merge patch is not a mapping"),
        (Modification::MergePatch(json!({})), "merge patch is not a mapping"),
        (Modification::StrategicPatch(json!("x")), "strategic patch is not a mapping"),
        (Modification::StrategicPatch(json!({ "$patch": "delete" })), "stands for the whole object"),
        (of_pod(json!({ "image": "x" })), "has no name: items of this list are found by it"),
        (of_pod(json!("web")), "is not a mapping"),
        (of_pod(json!({ "name": "web", "$patch": "drop" })), "must be merge, replace or delete"),
        (of_pod(json!({ "name": "web", "$what": 1 })), "is no directive"),
        (json_patch(json!([])), "between 1 and 100"),
        (json_patch(json!([{ "op": "set", "path": "/a" }])), "operation 0 is none of a JSON patch"),
        (
            json_patch(json!([{ "op": "test", "path": "/spec/replicas", "value": 9 }])),
            "value did not match at /spec/replicas, there is 2",
        ),
        (json_patch(json!([{ "op": "remove", "path": "/spec/nothing" }])), "nothing is there"),
        (json_patch(json!([{ "op": "replace", "path": "", "value": {} }])), "stands for no field"),
    ] {
        let refused = said(change, Some(&live())).unwrap_err();
        assert!(refused.contains(says), "{says} is not in: {refused}");
    }
    for (change, says) in [
        (json_patch(json!([{ "op": "test", "path": "/a", "value": 1 }])), "a test of a JSON patch needs the object"),
        (json_patch(json!([{ "op": "add", "path": "/a/-", "value": 1 }])), "an added list item"),
        (
            Modification::StrategicPatch(json!({ "spec": { "$retainKeys": ["a"], "a": 1 } })),
            "there is no cluster to read it from",
        ),
    ] {
        let refused = said(change, None).unwrap_err();
        assert!(refused.contains(says), "{says} is not in: {refused}");
    }
    let numbered = said(json_patch(json!([{ "op": "replace", "path": "/a/0/b", "value": 1 }])), None).unwrap();
    assert_eq!(numbered, [("a[0].b".to_owned(), json!(1))]);
}
