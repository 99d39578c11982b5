//! Examples of what the API server accepts and refuses, asked of it without storing anything.

use kube::{
    Api, Client, Error,
    api::{ApiResource, DynamicObject, PostParams},
    core::GroupVersionKind,
};
use pilothouse::api::{DataSourceSpec, GROUP, MCPPoolSpec, MCPServerSpec};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::support::{client, crd};

/// Examples of one kind. Each is what is added to `base`, written as inside YAML's braces.
pub(super) struct Examples {
    pub kind: &'static str,
    pub base: &'static str,
    pub accepted: &'static [&'static str],
    /// With all that the API server says of it.
    pub refused: &'static [(&'static str, &'static str)],
}

impl Examples {
    /// Asks for all of them, then fails with every one that came out otherwise.
    pub(super) async fn hold(&self) {
        crd::established();
        let client = client::admin().await;
        let mut wrong = Vec::new();
        for added in self.accepted {
            let spec = self.spec(added);
            match create(&client, self.kind, "demo", spec.clone()).await {
                Ok(stored) => {
                    let read = (read(self.kind, &spec), read(self.kind, &stored.data["spec"]));
                    if read.0.is_err() || read.0 != read.1 {
                        wrong.push(format!("`{added}` is not read as it was written: {read:?}"));
                    }
                }
                Err(said) => wrong.push(format!("`{added}` was refused: {}", said.join(" | "))),
            }
        }
        for (added, expected) in self.refused {
            let said = ask(&client, self.kind, "demo", self.spec(added)).await;
            if said != [*expected] {
                wrong
                    .push(format!("`{added}`\n    expected: {expected}\n    said:     {}", said.join(" | ")));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), self.kind, wrong.join("\n"));
    }

    fn spec(&self, added: &str) -> Value {
        let parse = |text: &str| serde_saphyr::from_str::<Value>(&format!("{{{text}}}")).unwrap();
        let (mut spec, added) = (parse(self.base), parse(added));
        spec.as_object_mut().unwrap().extend(added.as_object().unwrap().clone());
        spec
    }
}

/// What our own types make of a spec.
fn read(kind: &str, spec: &Value) -> Result<Value, String> {
    fn through<T: DeserializeOwned + Serialize>(spec: &Value) -> Result<Value, String> {
        let spec: T = serde_json::from_value(spec.clone()).map_err(|error| error.to_string())?;
        serde_json::to_value(&spec).map_err(|error| error.to_string())
    }
    match kind {
        "MCPServer" => through::<MCPServerSpec>(spec),
        "MCPPool" => through::<MCPPoolSpec>(spec),
        "DataSource" => through::<DataSourceSpec>(spec),
        other => panic!("{other} is no kind of ours"),
    }
}

/// What the API server says against this object; nothing when it would store it.
pub(super) async fn ask(client: &Client, kind: &str, name: &str, spec: Value) -> Vec<String> {
    create(client, kind, name, spec).await.err().unwrap_or_default()
}

/// What the API server would store, with its defaults, or all that it says against it.
async fn create(client: &Client, kind: &str, name: &str, spec: Value) -> Result<DynamicObject, Vec<String>> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1alpha1", kind));
    let objects = Api::<DynamicObject>::namespaced_with(client.clone(), "default", &resource);
    let object = DynamicObject::new(name, &resource).data(json!({ "spec": spec }));
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match objects.create(&dry_run, &object).await {
        Ok(stored) => Ok(stored),
        Err(Error::Api(status)) => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let said: Vec<_> =
                causes.filter_map(|cause| without_value(&cause.message)).map(ToOwned::to_owned).collect();
            Err(if said.is_empty() { vec![status.message.clone()] } else { said })
        }
        Err(other) => panic!("{kind} {name}: {other}"),
    }
}

/// The API server puts the value it refuses before the rule's message, and says of every refusal that the status
/// could not be checked.
pub(super) fn without_value(message: &str) -> Option<&str> {
    if message.contains("some validation rules were not checked") {
        return None;
    }
    let rule = ["spec.", "metadata.", "secretKeyRef.", "external."]
        .iter()
        .filter_map(|start| message.find(&format!(": {start}")))
        .min();
    Some(rule.map_or(message, |at| &message[at + 2..]))
}
