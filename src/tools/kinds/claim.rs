//! PersistentVolumeClaims.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, age};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claim {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    storage_class_name: String,
    volume_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    capacity: BTreeMap<String, String>,
}

impl Shape for Claim {
    const COLUMNS: &'static [&'static str] = &["STATUS", "VOLUME", "CAPACITY", "CLASS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, facts: &Facts) -> Health {
        match self.status.phase.as_str() {
            "Bound" => Health::healthy(),
            "Lost" => Health::broken(format!("its volume {} is gone", self.spec.volume_name)),
            _ => {
                Health::warning(format!("not bound for {}", age(self.metadata.creation_timestamp, facts.now)))
            }
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        vec![
            self.status.phase.clone(),
            self.spec.volume_name.clone(),
            self.status.capacity.get("storage").cloned().unwrap_or_default(),
            self.spec.storage_class_name.clone(),
        ]
    }
}
