//! What the three kinds of children have in common, and in what they differ, when one that exists is compared
//! with one that is meant.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Service, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::ResourceExt;

use super::build::fingerprint;
use crate::{api::GROUP, operator::writer::Stored};

pub(super) trait Child: Stored {
    /// Empties what others may set without it being drift.
    fn without_what_is_not_ours(self) -> Self;

    /// Takes over what others have set on the child that exists and that an update must not take away.
    fn keeping_what_is_not_ours(self, live: &Self) -> Self;
}

impl Child for ServiceAccount {
    /// OpenShift adds pull secrets to every account.
    fn without_what_is_not_ours(mut self) -> Self {
        self.secrets = None;
        self.image_pull_secrets = None;
        self
    }

    fn keeping_what_is_not_ours(mut self, live: &Self) -> Self {
        self.secrets = live.secrets.clone();
        self.image_pull_secrets = live.image_pull_secrets.clone();
        self
    }
}

impl Child for Service {
    fn without_what_is_not_ours(mut self) -> Self {
        self.status = None;
        self
    }

    /// The API server keeps the addresses of a Service whose update does not name them.
    fn keeping_what_is_not_ours(self, _live: &Self) -> Self {
        self
    }
}

impl Child for Deployment {
    fn without_what_is_not_ours(mut self) -> Self {
        self.status = None;
        if let Some(spec) = &mut self.spec {
            spec.replicas = None;
            if let Some(annotations) = template_annotations(spec) {
                annotations.retain(|key, _| is_ours(key));
            }
        }
        self
    }

    /// `kubectl rollout restart` notes itself on the pod template: without it the pods would roll once more.
    fn keeping_what_is_not_ours(mut self, live: &Self) -> Self {
        let (Some(spec), Some(live_spec)) = (&mut self.spec, &live.spec) else { return self };
        spec.replicas = live_spec.replicas;
        let theirs = live_spec.template.metadata.as_ref().and_then(|metadata| metadata.annotations.clone());
        let metadata = spec.template.metadata.get_or_insert_default();
        let annotations = metadata.annotations.get_or_insert_default();
        for (key, value) in theirs.unwrap_or_default() {
            if !is_ours(&key) {
                annotations.insert(key, value);
            }
        }
        self
    }
}

fn template_annotations(
    spec: &mut k8s_openapi::api::apps::v1::DeploymentSpec,
) -> Option<&mut BTreeMap<String, String>> {
    spec.template.metadata.as_mut()?.annotations.as_mut()
}

fn is_ours(annotation: &str) -> bool {
    annotation.split('/').next() == Some(GROUP)
}

/// Hash of what we hold a child to: its fields, and of its labels and annotations those that we set.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn held_to<K: Child>(live: &K, desired: &K) -> Result<String, serde_json::Error> {
    let mut held = live.clone().without_what_is_not_ours();
    let labels = live
        .labels()
        .iter()
        .filter(|(key, _)| desired.labels().contains_key(*key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let annotations = live.annotations().iter().filter(|(key, _)| is_ours(key));
    *held.meta_mut() = ObjectMeta {
        labels: Some(labels),
        annotations: Some(annotations.map(|(key, value)| (key.clone(), value.clone())).collect()),
        ..ObjectMeta::default()
    };
    fingerprint(&held)
}

/// The update that makes `live` what is desired: exactly that object in exactly that version, or it fails.
pub(super) fn onto<K: Child>(live: &K, desired: &K) -> K {
    let mut update = desired.clone().keeping_what_is_not_ours(live);
    let mut annotations: BTreeMap<_, _> = live.annotations().clone();
    annotations.extend(desired.annotations().clone());
    let metadata = update.meta_mut();
    metadata.annotations = Some(annotations);
    metadata.uid = live.meta().uid.clone();
    metadata.resource_version = live.meta().resource_version.clone();
    metadata.finalizers = live.meta().finalizers.clone();
    update
}
