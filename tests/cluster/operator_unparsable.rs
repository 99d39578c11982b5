//! An MCPServer that was stored under a looser CRD and that this pilothouse cannot read.

use std::time::Duration;

use k8s_openapi::{
    api::{apps::v1::Deployment, events::v1::Event},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::support::{
    kubectl,
    own_operator::{OwnOperator, solo},
    wait::until,
};

const SOON: Duration = Duration::from_secs(20);
const TRANSPORTS: &str =
    "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/transport/enum/-";

/// Lets one more word be a transport while `f` runs. No other test uses the word, so none notices.
async fn with_a_looser_crd(client: &Client, f: impl AsyncFnOnce()) {
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    let looser: json_patch::Patch =
        serde_json::from_value(json!([{"op": "add", "path": TRANSPORTS, "value": "smoke-signals"}]))
            .expect("a patch");
    let name = "mcpservers.pilothouse.dev";
    let params = PatchParams::default();
    crds.patch(name, &params, &Patch::<()>::Json(looser)).await.expect("the CRD can be changed");
    f().await;
    let crd = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/mcpservers.pilothouse.dev.yaml");
    kubectl::run(&["apply", "-f", crd]);
}

fn manifest(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

#[tokio::test]
async fn it_gets_an_event_and_the_others_go_on() {
    let scratch = solo("unparsable");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let client = operator.client.clone();
    let broken = manifest(scratch.name(), "broken", "{image: a, replicas: 0, transport: smoke-signals}");
    with_a_looser_crd(&client, async || {
        until("the broken one is stored", SOON, || async {
            kubectl::try_apply(&broken).status.success().then_some(())
        })
        .await;
    })
    .await;
    kubectl::apply(&manifest(scratch.name(), "good", "{image: a, replicas: 0}"));
    let deployments = Api::<Deployment>::namespaced(client.clone(), scratch.name());
    until("the good one is deployed", SOON, || async { deployments.get("good").await.ok() }).await;
    let events = Api::<Event>::namespaced(client, scratch.name());
    let note = until("an event about the broken one", SOON, || async {
        let events = events.list(&ListParams::default()).await.ok()?.items;
        let about_it = |event: &Event| {
            let name = event.regarding.as_ref().and_then(|object| object.name.as_deref());
            name == Some("broken") && event.reason.as_deref() == Some("SpecNotParsed")
        };
        events.into_iter().find(about_it)?.note
    })
    .await;
    assert!(note.contains("smoke-signals") && note.contains("correct its spec"), "{note}");
    assert!(deployments.get_opt("broken").await.is_ok_and(|found| found.is_none()));
    operator.stop().await;
}
