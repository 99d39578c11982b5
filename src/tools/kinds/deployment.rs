//! Deployments.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Deployment {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    replicas: Option<u32>,
    paused: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    ready_replicas: u32,
    updated_replicas: u32,
    available_replicas: u32,
    conditions: Vec<Condition>,
}

impl Shape for Deployment {
    const COLUMNS: &'static [&'static str] = &["READY", "UP-TO-DATE", "AVAILABLE"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let Status { ready_replicas, updated_replicas, available_replicas, conditions } = &self.status;
        let desired = self.spec.replicas.unwrap_or(1);
        let failed = Condition::find(conditions, "ReplicaFailure").filter(|known| known.status == "True");
        if let Some(failed) = failed {
            return Health::broken(failed.words());
        }
        let stuck = Condition::find(conditions, "Progressing").filter(|known| known.status == "False");
        if let Some(stuck) = stuck {
            return Health::broken(format!("{available_replicas}/{desired} available, {}", stuck.words()));
        }
        if desired > 0 && *available_replicas == 0 {
            return Health::broken(format!("0/{desired} available"));
        }
        if *ready_replicas < desired {
            return Health::warning(format!("{ready_replicas}/{desired} ready"));
        }
        if *updated_replicas < desired && !self.spec.paused {
            return Health::warning(format!("rolling out: {updated_replicas}/{desired} updated"));
        }
        Health::healthy()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let desired = self.spec.replicas.unwrap_or(1);
        vec![
            format!("{}/{desired}", self.status.ready_replicas),
            self.status.updated_replicas.to_string(),
            self.status.available_replicas.to_string(),
        ]
    }
}
