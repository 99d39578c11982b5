//! Jobs.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Job {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    completions: Option<u32>,
    suspend: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    active: u32,
    succeeded: u32,
    failed: u32,
    conditions: Vec<Condition>,
}

impl Job {
    fn is(&self, kind: &str) -> Option<&Condition> {
        Condition::find(&self.status.conditions, kind).filter(|condition| condition.status == "True")
    }
}

impl Shape for Job {
    const COLUMNS: &'static [&'static str] = &["STATUS", "COMPLETIONS", "FAILED"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        if let Some(failed) = self.is("Failed") {
            return Health::broken(failed.words());
        }
        if self.is("Complete").is_none() && self.status.failed > 0 {
            return Health::warning(format!("{} failed attempts so far", self.status.failed));
        }
        Health::healthy()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let status = if self.is("Failed").is_some() {
            "Failed"
        } else if self.is("Complete").is_some() {
            "Complete"
        } else if self.spec.suspend {
            "Suspended"
        } else if self.status.active > 0 {
            "Running"
        } else {
            "Waiting"
        };
        vec![
            status.to_owned(),
            format!("{}/{}", self.status.succeeded, self.spec.completions.unwrap_or(1)),
            self.status.failed.to_string(),
        ]
    }
}
