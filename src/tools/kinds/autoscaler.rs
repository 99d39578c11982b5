//! HorizontalPodAutoscalers.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Autoscaler {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    scale_target_ref: Target,
    min_replicas: Option<u32>,
    max_replicas: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    kind: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    current_replicas: u32,
    desired_replicas: u32,
    conditions: Vec<Condition>,
}

impl Shape for Autoscaler {
    const COLUMNS: &'static [&'static str] = &["TARGET", "MIN", "MAX", "REPLICAS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let conditions = &self.status.conditions;
        for kind in ["AbleToScale", "ScalingActive"] {
            // Disabled by scaling the target to 0 is somebody's wish.
            let off = Condition::find(conditions, kind)
                .filter(|known| known.status == "False" && known.reason != "ScalingDisabled");
            if let Some(off) = off {
                return Health::broken(off.words());
            }
        }
        if self.status.desired_replicas >= self.spec.max_replicas && self.spec.max_replicas > 0 {
            return Health::warning(format!("at its maximum of {}", self.spec.max_replicas));
        }
        Health::healthy()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let Spec { scale_target_ref: Target { kind, name }, min_replicas, max_replicas } = &self.spec;
        vec![
            format!("{kind}/{name}"),
            min_replicas.unwrap_or(1).to_string(),
            max_replicas.to_string(),
            self.status.current_replicas.to_string(),
        ]
    }
}
