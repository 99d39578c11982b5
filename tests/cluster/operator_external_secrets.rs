//! Values of an external store: through the real External Secrets Operator into the pods of a server, and into the
//! checks of a DataSource.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, LogParams},
};
use pilothouse::api::{
    DataSource,
    data_source::DataSourcePhase::{self, Connected, Failed},
};
use serde_json::{Value, json};

use crate::{
    sources_servers::{PASSWORD, Server},
    support::{
        client,
        external_secrets::{ExternalSecretsOperator, STORE, keep},
        kubectl,
        one_server::{NAME, OneServer, SOON},
        operator_crds::OperatorCrds,
        own_operator::{OwnOperator, solo},
        wait::until,
    },
};

const EXTERNAL: &str = "external-secrets.io/v1/ExternalSecret";

fn asks(key: &str) -> Value {
    json!({"store": {"name": STORE}, "key": key, "refresh": "10s"})
}

/// Says its token, and is ready.
fn server() -> Value {
    json!({
        "image": "docker.io/pilothouse-test/busybox:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "echo the token is $TOKEN; exec httpd -f -p 3001 -h /etc"],
        "port": 3001,
        "secrets": [{"env": "TOKEN", "external": asks("token")}],
    })
}

/// What the one pod says that is left, when it is ready.
async fn said(client: &Client, namespace: &str, text: &str) -> Pod {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let its = ListParams::default().labels(&format!("app.kubernetes.io/instance={NAME}"));
    until(&format!("one ready pod that says: {text}"), SOON, || async {
        let [pod] = <[Pod; 1]>::try_from(pods.list(&its).await.ok()?.items).ok()?;
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
        let is_ready = ready.any(|condition| condition.status == "True");
        let logs = pods.logs(&pod.name_any(), &LogParams::default()).await.ok()?;
        (is_ready && logs.contains(text)).then_some(pod)
    })
    .await
}

/// With the rights of an installation, which may not read Secrets.
#[tokio::test]
async fn a_value_of_a_store_reaches_the_pods_and_makes_them_anew_once_when_it_changes() {
    let _crds = OperatorCrds::with_stores().await;
    let scratch = solo("stores");
    let namespace = scratch.name();
    keep(namespace, &[("token", "first-value")]);
    let _external = ExternalSecretsOperator::start(namespace);
    let operator = OwnOperator::start_with_its_rights(namespace, "test").await;
    let admin = client::admin().await;
    let demo = OneServer::new(&admin, namespace);
    demo.create(server()).await;
    demo.says("SecretsSynced", "True Synced: 1 ExternalSecret has its value.").await;
    demo.says("Available", "True PodsReady").await;
    let first = said(&admin, namespace, "the token is first-value\n").await;
    demo.revisions_become(1, "the first value").await;

    // Asked again and found the same: nothing happens.
    let refreshed = || async {
        let all = demo.kind(EXTERNAL).list(&ListParams::default()).await.ok()?.items;
        all.first()?.data.pointer("/status/refreshTime")?.as_str().map(str::to_owned)
    };
    let before = refreshed().await.expect("it was asked");
    until("the store is asked again", SOON, || async { refreshed().await.filter(|now| *now != before) })
        .await;
    demo.revisions_become(1, "the same value").await;

    keep(namespace, &[("token", "second-value")]);
    let second = said(&admin, namespace, "the token is second-value\n").await;
    assert_ne!(first.uid(), second.uid());
    let before = refreshed().await.expect("it was asked");
    until("the store is asked again", SOON, || async { refreshed().await.filter(|now| *now != before) })
        .await;
    demo.revisions_become(2, "another value came, once").await;
    assert_eq!(said(&admin, namespace, "second-value").await.uid(), second.uid());

    // A key that the store does not have is told in its own words, and the pods stay.
    keep(namespace, &[("another", "value")]);
    let told = demo.says("SecretsSynced", "False NotSynced").await;
    assert!(told.contains("check its store and the key in spec.secrets"), "{told}");
    demo.revisions_become(2, "the last value stays").await;
    operator.stop().await;
}

fn source(namespace: &str, port: u16, credentials: &Value) {
    let source = json!({
        "apiVersion": "pilothouse.dev/v1alpha1",
        "kind": "DataSource",
        "metadata": {"name": "orders"},
        "spec": {
            "type": "database",
            "endpoint": format!("postgresql://127.0.0.1:{port}/orders"),
            "credentials": credentials,
            // Whatever happens in this test was not seen by a check that was due.
            "healthCheck": {"interval": "24h"},
        },
    });
    kubectl::apply_in(namespace, &source.to_string());
}

fn external() -> Value {
    json!([{"name": "username", "external": asks("user")}, {"name": "password", "external": asks("password")}])
}

async fn phase(client: &Client, namespace: &str, phase: DataSourcePhase) -> DataSource {
    let sources = Api::<DataSource>::namespaced(client.clone(), namespace);
    until(&format!("orders is {phase:?}"), 2 * SOON, || async {
        let source = sources.get("orders").await.ok()?;
        (source.status.as_ref()?.phase == Some(phase)).then_some(source)
    })
    .await
}

/// `status reason: message`, empty without the condition.
fn condition(source: &DataSource, type_: &str) -> String {
    let conditions = source.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|condition| condition.type_ == type_)
        .map(|condition| format!("{} {}: {}", condition.status, condition.reason, condition.message))
        .collect()
}

#[tokio::test]
async fn a_source_gets_in_with_values_of_a_store_and_is_checked_again_when_they_change() {
    let _crds = OperatorCrds::with_stores().await;
    let scratch = solo("stores-sources");
    let namespace = scratch.name();
    let database = tokio::task::spawn_blocking(|| Server::postgresql(None)).await.expect("a PostgreSQL");
    keep(namespace, &[("user", "scram"), ("password", PASSWORD)]);
    let _external = ExternalSecretsOperator::start(namespace);
    let operator = OwnOperator::start(namespace, "test").await;
    source(namespace, database.port, &external());
    // The Secret is there before the ExternalSecret says so: the condition may come after the first good check.
    until("the condition says that the value is there", SOON, || async {
        let connected = phase(&operator.client, namespace, Connected).await;
        let told = condition(&connected, "SecretsSynced");
        (told == "True Synced: 1 ExternalSecret has its value.").then_some(())
    })
    .await;
    let demo = OneServer::new(&operator.client, namespace);
    let made = demo.exists(EXTERNAL, "orders-datasource").await;
    assert_eq!(made.owner_references()[0].kind, "DataSource");
    demo.create(json!({"image": "registry.invalid/demo:1", "replicas": 0, "dataSources": {
        "matchNames": ["orders"],
        "template": {"format": "json", "mountPath": "/etc/sources.json", "text": "{\"all\": {{ sources }}}"}}}))
        .await;
    demo.says("DataSourcesConnected", "True Connected").await;
    demo.revisions_become(1, "the first").await;

    // A rotation: the source is checked with the new value, and whoever uses it is made anew.
    keep(namespace, &[("user", "scram"), ("password", "not-the-right-one")]);
    let refused = phase(&operator.client, namespace, Failed).await;
    assert!(condition(&refused, "Connected").starts_with("False CredentialsRefused"), "{refused:?}");
    demo.revisions_become(2, "the value changed").await;
    keep(namespace, &[("user", "scram"), ("password", PASSWORD)]);
    phase(&operator.client, namespace, Connected).await;
    demo.revisions_become(3, "the value changed back").await;
    let everything =
        kubectl::run(&["-n", namespace, "get", "datasources,events,configmaps,mcpservers", "-o", "yaml"]);
    assert!(!everything.contains(PASSWORD) && !everything.contains("not-the-right-one"), "{everything}");

    // No longer external: what was made for it goes.
    let login = ["create", "secret", "generic", "login", "--from-literal=user=md5"];
    kubectl::run(
        &[&["-n", namespace], &login[..], &[&format!("--from-literal=password={PASSWORD}")]].concat(),
    );
    let by_reference = |key: &str| json!({"name": "login", "key": key});
    source(
        namespace,
        database.port,
        &json!([{"name": "username", "secretKeyRef": by_reference("user")},
            {"name": "password", "secretKeyRef": by_reference("password")}]),
    );
    demo.gone(EXTERNAL, "orders-datasource").await;
    until("the condition is gone", SOON, || async {
        condition(&phase(&operator.client, namespace, Connected).await, "SecretsSynced")
            .is_empty()
            .then_some(())
    })
    .await;
    operator.stop().await;
}

/// Nobody fills it: its definition alone comes and goes.
#[tokio::test]
async fn a_source_says_what_its_external_values_wait_for() {
    let crds = OperatorCrds::absent().await;
    let scratch = solo("no-stores");
    let namespace = scratch.name();
    let operator = OwnOperator::start_with_its_rights(namespace, "test").await;
    let admin = client::admin().await;
    let demo = OneServer::new(&admin, namespace);
    source(namespace, 1, &external());
    let says = |begins: &'static str| {
        let admin = admin.clone();
        async move {
            let sources = Api::<DataSource>::namespaced(admin, namespace);
            until(&format!("SecretsSynced {begins}"), SOON, || async {
                let said = condition(&sources.get("orders").await.ok()?, "SecretsSynced");
                said.starts_with(begins).then_some(said)
            })
            .await
        }
    };
    let said = says("False KindMissing").await;
    assert!(said.contains("install the External Secrets Operator"), "{said}");
    crds.install();
    says("False Waiting").await;
    let made = demo.exists(EXTERNAL, "orders-datasource").await;
    let keys = made.data["spec"]["data"].as_array().expect("values").len();
    assert_eq!((keys, made.data["spec"]["refreshInterval"].as_str()), (2, Some("10s")));

    // What somebody changes in it is put right; what its operator answers is passed on.
    demo.patch(EXTERNAL, "orders-datasource", json!({"spec": {"refreshInterval": "5h"}})).await;
    until("it is as it is meant", SOON, || async {
        let live = demo.kind(EXTERNAL).get("orders-datasource").await.ok()?;
        (live.data["spec"]["refreshInterval"] == "10s").then_some(())
    })
    .await;
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "False",
        "reason": "SecretSyncedError", "message": "could not get secret data from provider"}]}});
    let patch =
        ["patch", "externalsecret", "orders-datasource", "--subresource=status", "--type=merge", "-p"];
    kubectl::run(&[&["-n", namespace], &patch[..], &[&status.to_string()]].concat());
    let said = says("False NotSynced").await;
    assert!(said.contains("could not get secret data from provider; check its store"), "{said}");

    // One that somebody else made is left alone.
    demo.patch(EXTERNAL, "orders-datasource", json!({"metadata": {"ownerReferences": null}})).await;
    says("False NamesTaken").await;
    let secrets = Api::<Secret>::namespaced(admin.clone(), namespace);
    assert!(secrets.get_opt("orders-datasource").await.expect("an answer").is_none());
    operator.stop().await;
}
