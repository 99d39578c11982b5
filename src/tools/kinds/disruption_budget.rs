//! PodDisruptionBudgets: whether anything may be evicted.

use serde::Deserialize;
use serde_json::Value;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DisruptionBudget {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    min_available: Value,
    max_unavailable: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    disruptions_allowed: u32,
    current_healthy: u32,
    desired_healthy: u32,
    expected_pods: u32,
    conditions: Vec<Condition>,
}

impl Shape for DisruptionBudget {
    const COLUMNS: &'static [&'static str] = &["MIN-AVAILABLE", "MAX-UNAVAILABLE", "ALLOWED", "HEALTHY"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let Status { disruptions_allowed, current_healthy, desired_healthy, expected_pods, conditions } =
            &self.status;
        let failed =
            Condition::find(conditions, "DisruptionAllowed").filter(|known| known.reason == "SyncFailed");
        if let Some(failed) = failed {
            return Health::broken(failed.words());
        }
        if *expected_pods == 0 {
            return Health { why: "selects no pod".to_owned(), ..Health::unknown() };
        }
        if *disruptions_allowed > 0 {
            return Health::healthy();
        }
        if current_healthy < desired_healthy {
            return Health::warning(format!(
                "{current_healthy} healthy of {desired_healthy} needed: no pod may be evicted now"
            ));
        }
        if desired_healthy >= expected_pods {
            return Health::warning("never lets a pod be evicted: draining its nodes will wait for ever");
        }
        Health::healthy()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let shown = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let Status { disruptions_allowed, current_healthy, expected_pods, .. } = &self.status;
        vec![
            shown(&self.spec.min_available),
            shown(&self.spec.max_unavailable),
            disruptions_allowed.to_string(),
            format!("{current_healthy}/{expected_pods}"),
        ]
    }
}
