//! OpenShift's DeploymentConfigs.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DeploymentConfig {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    // Here absent means none.
    replicas: u32,
    /// Runs only while it is being tried.
    test: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    ready_replicas: u32,
    updated_replicas: u32,
    available_replicas: u32,
    latest_version: u64,
    conditions: Vec<Condition>,
}

impl Shape for DeploymentConfig {
    const COLUMNS: &'static [&'static str] = &["READY", "UP-TO-DATE", "AVAILABLE", "REVISION"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let Status { ready_replicas, available_replicas, latest_version, conditions, .. } = &self.status;
        let desired = if self.spec.test { 0 } else { self.spec.replicas };
        let stuck = Condition::find(conditions, "Progressing").filter(|known| known.status == "False");
        if let Some(stuck) = stuck {
            return Health::broken(format!("{available_replicas}/{desired} available, {}", stuck.words()));
        }
        if desired > 0 && *latest_version == 0 {
            return Health::warning("never rolled out: no trigger has started revision 1");
        }
        if desired > 0 && *available_replicas == 0 {
            return Health::broken(format!("0/{desired} available"));
        }
        if *ready_replicas < desired {
            return Health::warning(format!("{ready_replicas}/{desired} ready"));
        }
        Health::healthy()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let Status { ready_replicas, updated_replicas, available_replicas, latest_version, .. } =
            &self.status;
        vec![
            format!("{ready_replicas}/{}", self.spec.replicas),
            updated_replicas.to_string(),
            available_replicas.to_string(),
            latest_version.to_string(),
        ]
    }
}
