//! The ConfigMap that a proxy reads its servers from, and the proxy's restart.
//!
//! That a restart is due is noted on the ConfigMap with the change itself: a leader that ends in between leaves it to the
//! next one.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::ConfigMap},
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

use super::{
    config::ConfigMapSettings,
    document::{Change, Layout},
    entry::{Dialect, Mark, Present},
    plan::{Failure, Step},
};
use crate::operator::writer::{WriteError, Writer};

/// On the ConfigMap while the proxy has not been restarted since our last change.
const RESTART_DUE: &str = "pilothouse.dev/restart-due";
/// As `kubectl rollout restart` does it.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

#[derive(Debug)]
pub(super) enum Trouble {
    Failed(Failure),
    /// Somebody wrote meanwhile: it is read again.
    Outdated,
    NotLeading,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The ConfigMap as it was read.
pub(super) struct File<'a> {
    settings: &'a ConfigMapSettings,
    live: DynamicObject,
    text: String,
}

impl<'a> File<'a> {
    /// None: there is no such ConfigMap, or it has no such key.
    pub(super) async fn read(
        settings: &'a ConfigMapSettings,
        client: &Client,
    ) -> Result<Option<Self>, Failure> {
        let ConfigMapSettings { namespace, name, key, .. } = settings;
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &config_maps());
        let live = api.get_opt(name).await;
        let live = live.map_err(|error| failure("read", "ConfigMap", namespace, name, &error))?;
        Ok(live.and_then(|live| {
            let text = live.data.get("data")?.get(key)?.as_str()?.to_owned();
            Some(Self { settings, live, text })
        }))
    }

    pub(super) fn missing(settings: &ConfigMapSettings) -> Failure {
        let ConfigMapSettings { namespace, name, key, .. } = settings;
        Failure::unreachable(format!(
            "ConfigMap {namespace}/{name} with the key `{key}`, which operator.litellm.configMap names, does not exist: make it, or correct the configuration"
        ))
    }

    pub(super) fn entries(&self) -> Result<Vec<Present>, Failure> {
        Layout::of(self.settings).entries(&self.text).map_err(|error| self.refused(&error))
    }

    /// One PUT for all steps, and the restart after it.
    pub(super) async fn make(
        mut self,
        steps: &[Step],
        owner: &str,
        client: &Client,
        writer: &Writer,
    ) -> Result<bool, Trouble> {
        if !steps.is_empty() {
            let changes: Vec<Change> = steps.iter().map(|step| change(step, owner)).collect();
            let text = Layout::of(self.settings).edited(&self.text, &changes);
            let text = text.map_err(|error| self.refused(&error))?;
            if let Some(at) = self.live.data.pointer_mut(&format!("/data/{}", pointer(&self.settings.key))) {
                *at = Value::String(text);
            }
            if self.settings.restart.is_some() {
                self.live.annotations_mut().insert(RESTART_DUE.to_owned(), "true".to_owned());
            }
            self.live = self.store(&self.live, &config_maps(), writer).await?;
        }
        let (Some(deployment), true) =
            (&self.settings.restart, self.live.annotations().contains_key(RESTART_DUE))
        else {
            return Ok(false);
        };
        self.restart(deployment, client, writer).await?;
        self.live.annotations_mut().remove(RESTART_DUE);
        self.store(&self.live, &config_maps(), writer).await?;
        Ok(true)
    }

    async fn restart(&self, name: &str, client: &Client, writer: &Writer) -> Result<(), Trouble> {
        let namespace = &self.settings.namespace;
        let kind = ApiResource::erase::<Deployment>(&());
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind);
        let live = api.get_opt(name).await;
        let live = live.map_err(|error| failure("read", "Deployment", namespace, name, &error))?;
        let Some(mut live) = live else {
            return Err(Failure::refused(format!(
                "The ConfigMap is written, but Deployment {namespace}/{name}, which operator.litellm.configMap.restart names, does not exist: correct the configuration"
            ))
            .into());
        };
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default().to_string();
        let Some(template) = live.data.pointer_mut("/spec/template/metadata").and_then(Value::as_object_mut)
        else {
            return Err(Failure::refused(format!("Deployment {namespace}/{name} has no pod template")).into());
        };
        let annotations = template.entry("annotations").or_insert_with(|| json!({}));
        if annotations.is_null() {
            *annotations = json!({});
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(RESTARTED_AT.to_owned(), Value::String(now));
        }
        self.store(&live, &kind, writer).await.map(drop)
    }

    async fn store(
        &self,
        object: &DynamicObject,
        kind: &ApiResource,
        writer: &Writer,
    ) -> Result<DynamicObject, Trouble> {
        let stored = writer.replace_shared(kind, object).await;
        stored.map_err(|error| match error {
            WriteError::NotLeading => Trouble::NotLeading,
            WriteError::Outdated(_) => Trouble::Outdated,
            WriteError::Refused { what: _, source } => {
                let (namespace, name) = (&self.settings.namespace, object.name_any());
                Trouble::Failed(failure("update", &kind.kind, namespace, &name, &source))
            }
        })
    }

    fn refused(&self, error: &dyn std::error::Error) -> Failure {
        let ConfigMapSettings { namespace, name, key, .. } = self.settings;
        Failure::refused(format!("The key `{key}` of ConfigMap {namespace}/{name} cannot be edited: {error}"))
    }
}

fn config_maps() -> ApiResource {
    ApiResource::erase::<ConfigMap>(&())
}

/// A key as a part of a JSON pointer.
fn pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn change(step: &Step, owner: &str) -> Change {
    match step {
        Step::Delete { server: _, present } => Change::Remove { name: present.name.clone() },
        Step::Update { server, present, entry } => {
            let mark = Mark { owner: owner.to_owned(), server: server.clone() };
            Change::Put {
                name: entry.name.clone(),
                fields: entry.fields(&mark, Dialect::File, Some(present)),
            }
        }
        Step::Create { server, entry } => {
            let mark = Mark { owner: owner.to_owned(), server: server.clone() };
            Change::Put { name: entry.name.clone(), fields: entry.fields(&mark, Dialect::File, None) }
        }
    }
}

/// What the API server said, as a sentence that names the object.
pub(super) fn failure(verb: &str, kind: &str, namespace: &str, name: &str, error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 403 => Failure::refused(format!(
            "pilothouse has no right to {verb} {kind} {namespace}/{name} for its LiteLLM registration ({}): bind the Role of docs/litellm.md",
            status.message
        )),
        kube::Error::Api(status)
            if (400..500).contains(&status.code) && ![408, 429].contains(&status.code) =>
        {
            Failure::refused(format!(
                "The API server refuses to {verb} {kind} {namespace}/{name}: {}",
                status.message
            ))
        }
        error => Failure::unreachable(format!("{kind} {namespace}/{name} cannot be {verb}: {error}")),
    }
}

/// The steps that a file holds, counted by what they do.
pub(super) fn counted(steps: &[Step]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for step in steps {
        *counts.entry(step.verb()).or_default() += 1;
    }
    counts
}
