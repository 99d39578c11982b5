//! PersistentVolumes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Volume {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    capacity: BTreeMap<String, String>,
    persistent_volume_reclaim_policy: String,
    storage_class_name: String,
    claim_ref: Option<Claim>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Claim {
    namespace: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    reason: String,
    message: String,
}

impl Volume {
    fn claim(&self) -> String {
        let claim = self.spec.claim_ref.as_ref();
        claim.map(|Claim { namespace, name }| format!("{namespace}/{name}")).unwrap_or_default()
    }
}

impl Shape for Volume {
    const COLUMNS: &'static [&'static str] = &["CAPACITY", "RECLAIM", "STATUS", "CLAIM", "CLASS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let Status { phase, reason, message } = &self.status;
        match phase.as_str() {
            "Failed" => Health::broken(format!("{reason} {message}").trim()),
            "Released" => {
                Health::warning(format!("its claim {} is gone, no other can bind it", self.claim()))
            }
            "Bound" | "Available" => Health::healthy(),
            _ => Health::unknown(),
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let Spec { capacity, persistent_volume_reclaim_policy, storage_class_name, claim_ref: _ } =
            &self.spec;
        vec![
            capacity.get("storage").cloned().unwrap_or_default(),
            persistent_volume_reclaim_policy.clone(),
            self.status.phase.clone(),
            self.claim(),
            storage_class_name.clone(),
        ]
    }
}
