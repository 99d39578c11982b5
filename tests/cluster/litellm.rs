//! Registration in a LiteLLM proxy, with real pods: by its ConfigMap, and by the API of a real proxy.

mod by_api;
mod by_config_map;
mod proxy;

use std::time::Duration;

use pilothouse::operator::LitellmConfig;
use serde_json::{Value, json};

use crate::support::{
    wait::until,
    whole::{NAME, Whole, env, spec, tool},
};

const CONDITION: &str = "LiteLLMRegistered";
const FINALIZER: &str = "pilothouse.dev/litellm";
/// For what needs no pod to start.
const SOON: Duration = Duration::from_secs(60);

async fn whole(namespace: &str, litellm: Value) -> Whole {
    let config: LitellmConfig = serde_json::from_value(litellm).expect("the configuration parses");
    Whole::start_with(namespace, Some(config.settings().expect("the configuration can be used"))).await
}

/// A server with one tool, `look`, registered for these groups.
fn registered(groups: &[&str]) -> Value {
    let mut spec = spec("proxied", &json!([tool("look", json!({ "type": "object" }))]));
    spec["litellm"] = json!({ "register": true, "allowedUserGroups": groups });
    spec
}

/// As [`registered`], but its pods cannot start.
fn broken() -> Value {
    json!({ "image": "registry.invalid/none:1", "env": env("x", &json!([])) })
}

async fn finalizers(whole: &Whole) -> Vec<String> {
    let server = whole.servers.get(NAME).await.expect("the MCPServer is there");
    server.metadata.finalizers.unwrap_or_default()
}

async fn delete(whole: &Whole) {
    whole.servers.delete(NAME, &kube::api::DeleteParams::default()).await.expect("a person deletes it");
}

/// The MCPServer does not exist any more: nothing holds it.
async fn gone(whole: &Whole) {
    until("the MCPServer is gone", SOON, || async {
        matches!(whole.servers.get_opt(NAME).await, Ok(None)).then_some(())
    })
    .await;
}
