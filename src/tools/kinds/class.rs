//! Classes that other objects name: StorageClasses, IngressClasses, PriorityClasses. They cannot be ill.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape};

/// Metadata with annotations, which say which class is the default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotated {
    #[serde(flatten)]
    meta: Meta,
    annotations: BTreeMap<String, String>,
}

impl Annotated {
    fn default_by(&self, key: &str) -> String {
        yes(self.annotations.get(key).is_some_and(|value| value == "true"))
    }
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "" }.to_owned()
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StorageClass {
    metadata: Annotated,
    provisioner: String,
    reclaim_policy: String,
    volume_binding_mode: String,
    allow_volume_expansion: bool,
}

impl Shape for StorageClass {
    const COLUMNS: &'static [&'static str] = &["PROVISIONER", "RECLAIM", "BINDING", "EXPANDS", "DEFAULT"];

    fn meta(&self) -> &Meta {
        &self.metadata.meta
    }

    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let Self { metadata, provisioner, reclaim_policy, volume_binding_mode, allow_volume_expansion } =
            self;
        vec![
            provisioner.clone(),
            reclaim_policy.clone(),
            volume_binding_mode.clone(),
            yes(*allow_volume_expansion),
            metadata.default_by("storageclass.kubernetes.io/is-default-class"),
        ]
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IngressClass {
    metadata: Annotated,
    spec: IngressSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressSpec {
    controller: String,
}

impl Shape for IngressClass {
    const COLUMNS: &'static [&'static str] = &["CONTROLLER", "DEFAULT"];

    fn meta(&self) -> &Meta {
        &self.metadata.meta
    }

    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let default = self.metadata.default_by("ingressclass.kubernetes.io/is-default-class");
        vec![self.spec.controller.clone(), default]
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PriorityClass {
    metadata: Meta,
    value: i64,
    global_default: bool,
    preemption_policy: String,
}

impl Shape for PriorityClass {
    const COLUMNS: &'static [&'static str] = &["VALUE", "PREEMPTION", "DEFAULT"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        vec![self.value.to_string(), self.preemption_policy.clone(), yes(self.global_default)]
    }
}
