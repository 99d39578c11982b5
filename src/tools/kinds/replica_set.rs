//! ReplicaSets. Those of earlier revisions want no replicas and are healthy.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReplicaSet {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    replicas: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    ready_replicas: u32,
    conditions: Vec<Condition>,
}

impl Shape for ReplicaSet {
    const COLUMNS: &'static [&'static str] = &["READY", "OWNER"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let desired = self.spec.replicas.unwrap_or(1);
        let ready = self.status.ready_replicas;
        let failed = Condition::find(&self.status.conditions, "ReplicaFailure");
        match failed.filter(|known| known.status == "True") {
            Some(failed) => Health::broken(failed.words()),
            None if desired > 0 && ready == 0 => Health::broken(format!("0/{desired} ready")),
            None if ready < desired => Health::warning(format!("{ready}/{desired} ready")),
            None => Health::healthy(),
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let owner = self.metadata.controller();
        vec![
            format!("{}/{}", self.status.ready_replicas, self.spec.replicas.unwrap_or(1)),
            owner.map_or_else(String::new, |owner| format!("{}/{}", owner.kind, owner.name)),
        ]
    }
}
