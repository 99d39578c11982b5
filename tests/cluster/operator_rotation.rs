//! What the pods depend on changes: they are made anew, once, and only for what they use. Counted in revisions,
//! which a Deployment has without pods too.

use std::time::Duration;

use kube::ResourceExt;
use serde_json::json;

use crate::support::{
    kubectl,
    one_server::{NAME, OneServer},
    operator_crds::OperatorCrds,
    own_operator::{ACCOUNT, OwnOperator, solo},
    wait::until,
};

fn map(namespace: &str, value: &str) {
    kubectl::apply_in(
        namespace,
        &format!(
            "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings}}, data: {{used: {value}, other: x}}}}"
        ),
    );
}

fn secret(namespace: &str, name: &str, value: &str) {
    kubectl::apply_in(
        namespace,
        &format!(
            "---\n{{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}, stringData: {{value: {value}}}}}"
        ),
    );
}

#[tokio::test]
async fn a_change_of_what_pods_use_makes_them_anew_once() {
    let scratch = solo("rotation");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let demo = OneServer::new(&operator.client, scratch.name());
    map(scratch.name(), "one");
    secret(scratch.name(), "keys", "one");
    demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 0,
        "config": {"files": {"a": "one"}},
        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "used"}}}],
        "secrets": [{"env": "B", "secretKeyRef": {"name": "keys", "key": "value"}}]}))
        .await;
    demo.says("Accepted", "True").await;
    demo.revisions_become(1, "the first").await;
    map(scratch.name(), "two");
    demo.revisions_become(2, "the ConfigMap changed").await;
    secret(scratch.name(), "keys", "two");
    demo.revisions_become(3, "the Secret changed").await;
    demo.change(json!({"config": {"files": {"a": "two"}}})).await;
    demo.revisions_become(4, "the files changed").await;
    kubectl::run(&["-n", scratch.name(), "rollout", "restart", "deployment", NAME]);
    demo.revisions_become(5, "a person restarted it").await;

    kubectl::run(&["-n", scratch.name(), "label", "configmap", "settings", "a=b"]);
    kubectl::run(&[
        "-n",
        scratch.name(),
        "patch",
        "configmap",
        "settings",
        "-p",
        "{\"data\": {\"other\": \"y\"}}",
    ]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    demo.revisions_become(5, "the key that is used did not change").await;

    // While nobody looks.
    operator.stop().await;
    map(scratch.name(), "three");
    let next = OwnOperator::start(scratch.name(), "next").await;
    demo.revisions_become(6, "it changed while no operator ran").await;
    let template = demo.deployments.get(NAME).await.expect("it is there").spec.expect("spec").template;
    let annotations = template.metadata.expect("metadata").annotations.expect("annotations");
    assert!(annotations.contains_key("kubectl.kubernetes.io/restartedAt"), "{annotations:?}");
    next.stop().await;
}

#[tokio::test]
async fn secrets_are_read_only_where_the_role_is_bound() {
    let scratch = solo("secrets");
    let operator = OwnOperator::start_with_its_rights(scratch.name(), "test").await;
    let admin = crate::support::client::admin().await;
    let demo = OneServer::new(&admin, scratch.name());
    secret(scratch.name(), "keys", "one");
    demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 0,
        "secrets": [{"env": "B", "secretKeyRef": {"name": "keys", "key": "value"}}]}))
        .await;
    let said = demo.says("SecretsNotReadable", "True NotBound").await;
    assert!(
        said.contains("Changes of Secret keys are not seen") && said.contains("pilothouse-secrets"),
        "{said}"
    );
    demo.revisions_become(1, "the first").await;
    secret(scratch.name(), "keys", "two");
    tokio::time::sleep(Duration::from_secs(2)).await;
    demo.revisions_become(1, "the Secret may not be read").await;

    let installed = pilothouse::operator::manifests().expect("the manifests can be written");
    let role = installed.split("\n---\n").find(|document| document.contains("name: pilothouse-secrets\n"));
    kubectl::apply(role.expect("the role is shipped"));
    let account = format!("--serviceaccount={}:{ACCOUNT}", scratch.name());
    let bind = ["create", "rolebinding", "secrets", "--clusterrole=pilothouse-secrets", &account];
    kubectl::run(&[&["-n", scratch.name()], &bind[..]].concat());
    until("the binding is noticed", Duration::from_secs(60), || async {
        demo.condition("SecretsNotReadable").await.starts_with("False Readable").then_some(())
    })
    .await;
    demo.revisions_become(1, "seeing it for the first time rolls nothing").await;
    secret(scratch.name(), "keys", "three");
    demo.revisions_become(2, "the Secret changed").await;
    operator.stop().await;
}

/// The operator of ExternalSecrets is played: it says when it asked its store, and tells an event when it wrote
/// another value.
#[tokio::test]
async fn an_external_secret_that_was_written_anew_rolls_the_pods() {
    let _crds = OperatorCrds::present().await;
    let scratch = solo("external");
    let operator = OwnOperator::start_with_its_rights(scratch.name(), "test").await;
    let admin = crate::support::client::admin().await;
    let demo = OneServer::new(&admin, scratch.name());
    demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 0,
        "secrets": [{"env": "TOKEN", "external": {"store": {"name": "vault"}, "key": "k"}}]}))
        .await;
    demo.says("SecretsSynced", "Unknown Waiting").await;
    let externals = demo.kind("external-secrets.io/v1/ExternalSecret");
    let all = externals.list(&kube::api::ListParams::default()).await.expect("they can be listed");
    let external = all.items.first().expect("there is one").name_any();
    let refreshed = || {
        let now = k8s_openapi::jiff::Timestamp::now();
        let status = json!({"status": {"refreshTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "conditions": [{"type": "Ready", "status": "True"}]}});
        let patch = ["patch", "externalsecret", &external, "--subresource=status", "--type=merge", "-p"];
        kubectl::run(&[&["-n", scratch.name()], &patch[..], &[&status.to_string()]].concat());
    };
    refreshed();
    demo.says("SecretsSynced", "True Synced").await;
    demo.revisions_become(1, "the first").await;
    refreshed();
    tokio::time::sleep(Duration::from_secs(4)).await;
    demo.revisions_become(1, "the store was asked and had the same value").await;
    refreshed();
    // The event comes after the status, as it does.
    kubectl::apply_in(
        scratch.name(),
        &format!(
            "---\n{{apiVersion: v1, kind: Event, metadata: {{name: {external}.1}}, reason: Updated, type: Normal, \
             message: Secret was updated, involvedObject: {{apiVersion: external-secrets.io/v1, kind: ExternalSecret, \
             name: {external}, namespace: {ns}}}, source: {{component: external-secrets}}, count: 1, \
             lastTimestamp: '{now}'}}",
            ns = scratch.name(),
            now = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        ),
    );
    demo.revisions_become(2, "another value was written").await;
    refreshed();
    tokio::time::sleep(Duration::from_secs(4)).await;
    demo.revisions_become(2, "once").await;
    operator.stop().await;
}
