//! For each kind of child: somebody deletes it, edits a field of ours, edits what is not ours, or takes its owner
//! away.

use std::time::Duration;

use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use crate::support::{
    one_server::{NAME, OneServer, SOON},
    operator_crds::OperatorCrds,
    own_operator::{OwnOperator, solo},
    wait::until,
};

struct Row {
    kind: &'static str,
    /// A change of a field of ours.
    edit: Value,
    /// Where it is.
    field: &'static str,
    ours: Value,
}

fn row(kind: &'static str, edit: Value, field: &'static str, ours: Value) -> Row {
    Row { kind, edit, field, ours }
}

fn rows() -> Vec<Row> {
    vec![
        row(
            "v1/ServiceAccount",
            json!({"metadata": {"annotations": {"example.com/role": "evil"}}}),
            "/metadata/annotations/example.com~1role",
            json!("ours"),
        ),
        row("v1/ConfigMap", json!({"data": {"a": "evil"}}), "/data/a", json!("b")),
        row(
            "networking.k8s.io/v1/NetworkPolicy",
            json!({"spec": {"egress": [{}]}}),
            "/spec/egress/0/ports/0/port",
            json!(53),
        ),
        row(
            "v1/Service",
            json!({"spec": {"sessionAffinity": "None"}}),
            "/spec/sessionAffinity",
            json!("ClientIP"),
        ),
        row(
            "apps/v1/Deployment",
            json!({"spec": {"revisionHistoryLimit": 9}}),
            "/spec/revisionHistoryLimit",
            json!(3),
        ),
        row(
            "policy/v1/PodDisruptionBudget",
            json!({"spec": {"maxUnavailable": 9}}),
            "/spec/maxUnavailable",
            json!(1),
        ),
        row(
            "autoscaling/v2/HorizontalPodAutoscaler",
            json!({"spec": {"maxReplicas": 9}}),
            "/spec/maxReplicas",
            json!(3),
        ),
        row(
            "networking.k8s.io/v1/Ingress",
            json!({"spec": {"rules": [{"host": "evil.example.com"}]}}),
            "/spec/rules/0/host",
            json!("mcp.example.com"),
        ),
        row(
            "monitoring.coreos.com/v1/ServiceMonitor",
            json!({"spec": {"endpoints": [{"port": "evil"}]}}),
            "/spec/endpoints/0/port",
            json!("mcp"),
        ),
        row(
            "external-secrets.io/v1/ExternalSecret",
            json!({"spec": {"refreshInterval": "1s"}}),
            "/spec/refreshInterval",
            json!("3600s"),
        ),
        row(
            "v1/PersistentVolumeClaim",
            json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "evil"}}}),
            "/metadata/labels/app.kubernetes.io~1part-of",
            json!("pilothouse"),
        ),
    ]
}

#[tokio::test]
async fn every_kind_of_child_is_kept_as_declared() {
    let _crds = OperatorCrds::present().await;
    let scratch = solo("drifts");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = OneServer::new(&operator.client, scratch.name());
    demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 0,
        "serviceAccount": {"annotations": {"example.com/role": "ours"}},
        "config": {"files": {"a": "b"}},
        "storage": [{"mountPath": "/data", "size": "1Gi", "storageClassName": "none"}],
        "secrets": [{"env": "TOKEN", "external": {"store": {"name": "vault"}, "key": "k"}}],
        "disruptionBudget": {"maxUnavailable": 1},
        "autoscaling": {"max": 3},
        "ingress": {"host": "mcp.example.com"},
        "observability": {"metrics": {"serviceMonitor": {}}}}))
        .await;
    demo.says("Accepted", "True").await;
    demo.says("ServiceMonitorReady", "True Made").await;
    demo.says("SecretsSynced", "Unknown Waiting").await;
    demo.settled().await;
    for row in rows() {
        drift(&demo, &row).await;
    }
    operator.stop().await;
}

async fn drift(demo: &OneServer, row: &Row) {
    let Row { kind, edit, field, ours } = row;
    let name = &name_of(demo, kind).await;
    let ours_again = |what: &'static str, uid: Option<String>| async move {
        until(&format!("{kind}: {what}"), SOON, || async {
            let now = demo.kind(kind).get_opt(name).await.ok().flatten()?;
            let is_ours = serde_json::to_value(&now).ok()?.pointer(field) == Some(ours);
            let is_meant = uid.is_none() || now.uid() == uid;
            (is_ours && is_meant && now.metadata.deletion_timestamp.is_none()).then_some(now)
        })
        .await
    };
    let before = ours_again("is there", None).await;
    // A field of ours is set right, on the same object.
    demo.patch(kind, name, edit.clone()).await;
    let repaired = ours_again("a field of ours is set right", before.uid()).await;
    // What is not ours is kept, and nothing is written.
    demo.patch(kind, name, json!({"metadata": {"annotations": {"example.com/theirs": "kept"}}})).await;
    let theirs = demo.kind(kind).get(name).await.expect("it is there");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let now = demo.kind(kind).get(name).await.expect("it is there");
    assert_eq!(now.annotations().get("example.com/theirs").map(String::as_str), Some("kept"), "{kind}");
    assert_eq!(written(&now), written(&theirs), "{kind}: something was written");
    // Deleted, it is made anew.
    demo.delete(kind, name).await;
    let anew = until(&format!("{kind}: made anew"), SOON, || async {
        let now = demo.kind(kind).get_opt(name).await.ok().flatten()?;
        (now.uid() != repaired.uid()).then_some(now)
    })
    .await;
    demo.says("Accepted", "True").await;
    // Without its owner it is somebody else's: said, and not touched.
    let orphan = demo.patch(kind, name, json!({"metadata": {"ownerReferences": null}})).await;
    let said = demo.says("Accepted", "False NameTaken").await;
    let word = kind.rsplit('/').next().unwrap_or_default();
    assert!(said.contains(&format!("{word} {name} exists already")), "{said}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let now = demo.kind(kind).get(name).await.expect("it is there");
    assert_eq!(written(&now), written(&orphan), "{kind}: it was touched");
    assert_eq!(now.uid(), anew.uid());
    demo.delete(kind, name).await;
    demo.says("Accepted", "True").await;
    ours_again("made anew when its name is free", None).await;
}

/// When pilothouse last wrote to it.
fn written(object: &DynamicObject) -> Vec<String> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let ours = entries.filter(|entry| entry.manager.as_deref() == Some("pilothouse"));
    ours.map(|entry| entry.time.as_ref().map(|time| time.0.to_string()).unwrap_or_default()).collect()
}

/// Of the kinds of which a server may have several, the one it has.
async fn name_of(demo: &OneServer, kind: &str) -> String {
    if !["v1/PersistentVolumeClaim", "external-secrets.io/v1/ExternalSecret"].contains(&kind) {
        return NAME.to_owned();
    }
    let all = demo.kind(kind).list(&kube::api::ListParams::default()).await.expect("they can be listed");
    all.items.first().expect("there is one").name_any()
}
