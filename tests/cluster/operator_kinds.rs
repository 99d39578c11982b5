//! Kinds that a cluster need not have: said while they are missing, used as soon as they are there, and no trouble
//! when they go.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    kubectl,
    one_server::{NAME, OneServer},
    operator_crds::OperatorCrds,
    own_operator::{OwnOperator, solo},
    wait::until,
};

const MONITOR: &str = "monitoring.coreos.com/v1/ServiceMonitor";
const EXTERNAL: &str = "external-secrets.io/v1/ExternalSecret";

#[tokio::test]
async fn missing_kinds_are_said_and_picked_up_when_they_appear() {
    let crds = OperatorCrds::absent().await;
    let scratch = solo("kinds");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = OneServer::new(&operator.client, scratch.name());
    demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 0,
        "secrets": [{"env": "TOKEN", "external": {"store": {"name": "vault"}, "key": "k"}}],
        "observability": {"metrics": {"serviceMonitor": {"labels": {"release": "p"}}}}}))
        .await;
    let said = demo.says("SecretsSynced", "False KindMissing").await;
    assert!(said.contains("install the External Secrets Operator"), "{said}");
    let said = demo.says("ServiceMonitorReady", "False KindMissing").await;
    assert!(said.contains("install the Prometheus operator"), "{said}");
    demo.says("Accepted", "True").await;
    demo.exists("apps/v1/Deployment", NAME).await;

    crds.install();
    until("the kinds are picked up", Duration::from_secs(90), || async {
        let synced = demo.condition("SecretsSynced").await;
        let ready = demo.condition("ServiceMonitorReady").await;
        (synced.starts_with("Unknown Waiting") && ready.starts_with("True Made")).then_some(())
    })
    .await;
    let monitor = demo.exists(MONITOR, NAME).await;
    assert_eq!(monitor.metadata.labels.expect("it has labels")["release"], "p");
    let externals = kubectl::run(&["-n", scratch.name(), "get", "externalsecrets", "-o", "name"]);
    let external = externals.trim().rsplit('/').next().expect("there is one").to_owned();
    // What its operator says of it is passed on.
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "False",
        "reason": "SecretSyncedError", "message": "could not get secret data from provider"}]}});
    let patch = ["patch", "externalsecret", &external, "--subresource=status", "--type=merge", "-p"];
    kubectl::run(&[&["-n", scratch.name()], &patch[..], &[&status.to_string()]].concat());
    let said = demo.says("SecretsSynced", "False NotSynced").await;
    assert!(said.contains("could not get secret data from provider"), "{said}");
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    kubectl::run(&[&["-n", scratch.name()], &patch[..], &[&status.to_string()]].concat());
    demo.says("SecretsSynced", "True Synced").await;

    // What is no longer declared goes, with its condition.
    demo.change(json!({"observability": null})).await;
    demo.gone(MONITOR, NAME).await;
    until("its condition is gone", Duration::from_secs(20), || async {
        demo.condition("ServiceMonitorReady").await.is_empty().then_some(())
    })
    .await;
    demo.exists(EXTERNAL, &external).await;

    // Taken away again: said again, and everything else goes on.
    crds.remove();
    demo.says("SecretsSynced", "False KindMissing").await;
    demo.change(json!({"replicas": 1})).await;
    until("it is still reconciled", Duration::from_secs(20), || async {
        let deployment = demo.deployments.get(NAME).await.ok()?;
        (deployment.spec?.replicas == Some(1)).then_some(())
    })
    .await;
    operator.stop().await;
}

#[tokio::test]
async fn a_monitor_in_another_namespace_goes_with_its_server() {
    let _crds = OperatorCrds::present().await;
    let scratch = solo("elsewhere");
    let other = solo("monitors");
    let operator = OwnOperator::start_in(&[scratch.name(), other.name()], "test").await;
    let demo = OneServer::new(&operator.client, scratch.name());
    let there = OneServer::new(&operator.client, other.name());
    demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 0,
        "observability": {"metrics": {"serviceMonitor": {"namespace": other.name()}}}}))
        .await;
    let name = format!("{}-{NAME}", scratch.name());
    let monitor = there.exists(MONITOR, &name).await;
    assert_eq!(monitor.data["spec"]["namespaceSelector"]["matchNames"], json!([scratch.name()]));
    demo.delete("pilothouse.dev/v1alpha1/MCPServer", NAME).await;
    there.gone(MONITOR, &name).await;
    operator.stop().await;
}
