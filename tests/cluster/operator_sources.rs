//! DataSources in a cluster: their phases, and what a server that is connected to them is given. The servers they
//! are checked against are in the tests of the checks; here one listens in the test itself.

use std::{net::Ipv4Addr, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use pilothouse::api::{
    DataSource,
    data_source::DataSourcePhase::{self, Connected, Degraded, Failed},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use crate::support::{
    kubectl,
    one_server::{NAME, OneServer},
    own_operator::{ACCOUNT, OwnOperator, solo},
    wait::until,
};

const PASSWORD: &str = "hunter2-and-more";
/// Three checks of a source with the shortest interval.
const PATIENTLY: Duration = Duration::from_secs(90);

/// Lets in whoever has the password, as a Redis does.
async fn store() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut heard).await {
                let said = String::from_utf8_lossy(&heard[..length]).into_owned();
                let answer = match (said.contains("AUTH"), said.contains(PASSWORD)) {
                    (true, true) => "+OK\r\n".to_owned(),
                    (true, false) => format!("-WRONGPASS not {said:?}\r\n"),
                    (false, _) => "+PONG\r\n".to_owned(),
                };
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    (port, task)
}

fn source(namespace: &str, name: &str, labels: &str, more: &str) {
    kubectl::apply_in(
        namespace,
        &format!(
            "---\n{{apiVersion: pilothouse.dev/v1alpha1, kind: DataSource, metadata: {{name: {name}, labels: {labels}}}, \
             spec: {{type: database, credentials: [{{name: password, secretKeyRef: {{name: keys, key: {name}}}}}], {more}}}}}"
        ),
    );
}

fn secret(namespace: &str, key: &str, value: &str) {
    kubectl::apply_in(
        namespace,
        &format!(
            "---\n{{apiVersion: v1, kind: Secret, metadata: {{name: keys}}, stringData: {{{key}: {value}}}}}"
        ),
    );
}

async fn phase(client: &Client, namespace: &str, name: &str, phase: DataSourcePhase) -> DataSource {
    let sources = Api::<DataSource>::namespaced(client.clone(), namespace);
    until(&format!("{name} is {phase:?}"), PATIENTLY, || async {
        let source = sources.get(name).await.ok()?;
        (source.status.as_ref()?.phase == Some(phase)).then_some(source)
    })
    .await
}

fn message(source: &DataSource) -> String {
    source.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_source_goes_through_its_phases_and_no_credential_is_told() {
    let scratch = solo("sources");
    let namespace = scratch.name();
    let operator = OwnOperator::start(namespace, "test").await;
    let client = &operator.client;
    let (port, store) = store().await;
    let endpoint =
        format!("endpoint: 'redis://127.0.0.1:{port}', healthCheck: {{interval: 10s, timeout: 2s}}");
    source(namespace, "cache", "{}", &endpoint);
    let missing = phase(client, namespace, "cache", Failed).await;
    assert!(
        message(&missing).contains(&format!("Secret {namespace}/keys does not exist: create it")),
        "{}",
        message(&missing)
    );
    secret(namespace, "cache", "not-the-right-one");
    let refused = until("the password is refused", PATIENTLY, || async {
        let source = phase(client, namespace, "cache", Failed).await;
        message(&source).contains("WRONGPASS").then_some(source)
    })
    .await;
    assert!(
        !serde_json::to_string(&refused).expect("JSON").contains("not-the-right-one"),
        "{}",
        message(&refused)
    );
    secret(namespace, "cache", PASSWORD);
    let connected = phase(client, namespace, "cache", Connected).await;
    assert_eq!(message(&connected), "Redis let us in.");
    let checked = connected.status.and_then(|status| status.last_checked).expect("it was checked");
    let columns = kubectl::run(&["-n", namespace, "get", "datasources", "cache", "--no-headers"]);
    assert!(columns.contains("database") && columns.contains("Connected"), "{columns}");
    store.abort();
    let degraded = phase(client, namespace, "cache", Degraded).await;
    assert!(message(&degraded).contains("It answered before"), "{}", message(&degraded));
    let failed = phase(client, namespace, "cache", Failed).await;
    assert!(failed.status.and_then(|status| status.last_checked).expect("it was checked") > checked);
    let everything = kubectl::run(&["-n", namespace, "get", "datasources,events,configmaps", "-o", "yaml"]);
    assert!(!everything.contains(PASSWORD) && !everything.contains("not-the-right-one"), "{everything}");
    operator.stop().await;
}

#[tokio::test]
async fn without_the_role_a_source_is_checked_as_far_as_it_gets() {
    let scratch = solo("sources-rights");
    let namespace = scratch.name();
    let operator = OwnOperator::start_with_its_rights(namespace, "test").await;
    let admin = crate::support::client::admin().await;
    let (port, _store) = store().await;
    secret(namespace, "cache", PASSWORD);
    let endpoint = format!("endpoint: 'redis://127.0.0.1:{port}', healthCheck: {{interval: 10s}}");
    source(namespace, "cache", "{}", &endpoint);
    let degraded = phase(&admin, namespace, "cache", Degraded).await;
    assert!(message(&degraded).contains("could not be tried"), "{}", message(&degraded));
    let conditions = degraded.status.map(|status| status.conditions).unwrap_or_default();
    let said =
        conditions.iter().find(|condition| condition.type_ == "SecretsNotReadable").expect("a condition");
    assert!(said.status == "True" && said.message.contains("pilothouse-secrets"), "{said:?}");
    let installed = pilothouse::operator::manifests().expect("the manifests can be written");
    let role = installed.split("\n---\n").find(|document| document.contains("name: pilothouse-secrets\n"));
    kubectl::apply(role.expect("the role is shipped"));
    let account = format!("--serviceaccount={namespace}:{ACCOUNT}");
    kubectl::run(&[
        "-n",
        namespace,
        "create",
        "rolebinding",
        "secrets",
        "--clusterrole=pilothouse-secrets",
        &account,
    ]);
    phase(&admin, namespace, "cache", Connected).await;
    operator.stop().await;
}

fn server(sources: &Value) -> Value {
    json!({"image": "registry.invalid/demo:1", "replicas": 0, "dataSources": sources})
}

fn template() -> Value {
    json!({"format": "yaml", "mountPath": "/etc/mcp-sources/sources.yaml",
        "text": "sources:\n{% for source in sources %}\n- {{ source.endpoint }}\n- {{ source.credentials.password }}\n{% endfor %}\n"})
}

async fn rendered(client: &Client, namespace: &str, has: &str) -> String {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    until(&format!("a ConfigMap with {has}"), Duration::from_secs(60), || async {
        let text = maps.get("demo-sources").await.ok()?.data?.remove("sources")?;
        text.contains(has).then_some(text)
    })
    .await
}

#[tokio::test]
async fn a_server_is_given_its_sources_and_rolls_when_they_come_and_go() {
    let scratch = solo("connected");
    let namespace = scratch.name();
    let operator = OwnOperator::start(namespace, "test").await;
    let demo = OneServer::new(&operator.client, namespace);
    let away = "endpoint: 'redis://127.0.0.1:1', healthCheck: {interval: 10s, timeout: 1s}";
    secret(namespace, "cache", PASSWORD);
    source(namespace, "cache", "{use: demo}", away);
    demo.create(server(&json!({"matchLabels": {"use": "demo"}, "template": template()}))).await;
    demo.says("DataSourcesConnected", "True Connected: 1 DataSource is connected").await;
    demo.revisions_become(1, "the first").await;
    let text = rendered(&operator.client, namespace, "redis://127.0.0.1:1").await;
    assert!(text.contains("- \"${CACHE_PASSWORD}\"") && !text.contains(PASSWORD), "{text}");
    let deployment = demo.deployments.get(NAME).await.expect("it is there");
    let pod = deployment.spec.and_then(|spec| spec.template.spec).expect("a pod");
    let filler = &pod.init_containers.expect("an init container")[0];
    assert_eq!(filler.name, "data-sources");
    let variable = &filler.env.as_ref().expect("variables")[0];
    let from = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref()).expect("a Secret");
    assert_eq!(
        (variable.name.as_str(), from.name.as_str(), from.key.as_str()),
        ("PILOTHOUSE_FILL_CACHE_PASSWORD", "keys", "cache")
    );
    // Its phase is shown, and rolls nothing.
    phase(&operator.client, namespace, "cache", Failed).await;
    until("the phase is in the status", Duration::from_secs(60), || async {
        let status = demo.servers.get(NAME).await.ok()?.status?;
        (status.connected_sources.first()?.phase == Some(Failed)).then_some(())
    })
    .await;
    demo.revisions_become(1, "only a phase changed").await;
    source(namespace, "index", "{use: demo}", &away.replace("127.0.0.1:1", "127.0.0.1:2"));
    demo.revisions_become(2, "a source joined").await;
    rendered(&operator.client, namespace, "${INDEX_PASSWORD}").await;
    let sources = Api::<DataSource>::namespaced(operator.client.clone(), namespace);
    sources.delete("cache", &DeleteParams::default()).await.expect("it can be deleted");
    demo.revisions_become(3, "a source left").await;
    // A template that gives no file leaves the pods as they are, and says why.
    demo.change(json!({"dataSources": {"template": {"text": "a: ${INDEX_PASSWORD}"}}})).await;
    let said = demo.says("Accepted", "False DataSourcesNotUsable").await;
    assert!(said.contains("not inside of a double-quoted string"), "{said}");
    demo.revisions_become(3, "it cannot be rendered").await;
    demo.change(json!({"dataSources": null})).await;
    demo.gone("v1/ConfigMap", "demo-sources").await;
    demo.says("Accepted", "True").await;
    operator.stop().await;
}

#[tokio::test]
async fn another_namespace_must_allow_it_and_its_credentials_are_copied() {
    let (ours, theirs) = (solo("borrower"), solo("lender"));
    let operator = OwnOperator::start_in(&[ours.name(), theirs.name()], "test").await;
    let demo = OneServer::new(&operator.client, ours.name());
    secret(theirs.name(), "cache", PASSWORD);
    source(theirs.name(), "cache", "{}", "endpoint: 'redis://127.0.0.1:1'");
    demo.create(server(
        &json!({"namespaces": [theirs.name()], "matchNames": ["cache"], "template": template()}),
    ))
    .await;
    let said = demo.says("DataSourcesConnected", "False NotUsable").await;
    assert!(said.contains("No DataSource `cache` may be used"), "{said}");
    let secrets = Api::<Secret>::namespaced(operator.client.clone(), ours.name());
    assert!(secrets.get_opt("demo-sources").await.expect("an answer").is_none());
    let sources = Api::<DataSource>::namespaced(operator.client.clone(), theirs.name());
    let allow = |names: Value| Patch::Merge(json!({"spec": {"allowedNamespaces": names}}));
    let params = PatchParams::default();
    sources.patch("cache", &params, &allow(json!([ours.name()]))).await.expect("it is changed");
    demo.says("DataSourcesConnected", "True Connected").await;
    let copy =
        until("the copy", Duration::from_secs(60), || async { secrets.get("demo-sources").await.ok() }).await;
    let values: Vec<Vec<u8>> = copy.data.unwrap_or_default().into_values().map(|value| value.0).collect();
    assert_eq!(values, [PASSWORD.as_bytes().to_vec()]);
    assert_eq!(copy.metadata.owner_references.expect("an owner")[0].name, NAME);
    let text = rendered(&operator.client, ours.name(), "_CACHE_PASSWORD}").await;
    assert!(!text.contains(PASSWORD), "{text}");
    sources.patch("cache", &params, &allow(json!([]))).await.expect("it is changed");
    until("the copy is gone", Duration::from_secs(60), || async {
        secrets.get_opt("demo-sources").await.ok()?.is_none().then_some(())
    })
    .await;
    operator.stop().await;
}
