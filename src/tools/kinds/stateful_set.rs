//! StatefulSets.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatefulSet {
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
    updated_replicas: u32,
    current_revision: String,
    update_revision: String,
}

impl Shape for StatefulSet {
    const COLUMNS: &'static [&'static str] = &["READY"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let Status { ready_replicas, updated_replicas, current_revision, update_revision } = &self.status;
        let desired = self.spec.replicas.unwrap_or(1);
        if desired > 0 && *ready_replicas == 0 {
            return Health::broken(format!("0/{desired} ready"));
        }
        if *ready_replicas < desired {
            return Health::warning(format!("{ready_replicas}/{desired} ready"));
        }
        if current_revision != update_revision && *updated_replicas < desired {
            return Health::warning(format!("rolling out: {updated_replicas}/{desired} updated"));
        }
        Health::healthy()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        vec![format!("{}/{}", self.status.ready_replicas, self.spec.replicas.unwrap_or(1))]
    }
}
