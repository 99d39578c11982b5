//! OpenShift's ClusterOperators: how the platform's own parts are.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClusterOperator {
    metadata: Meta,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version {
    name: String,
    version: String,
}

impl ClusterOperator {
    fn condition(&self, kind: &str) -> Option<&Condition> {
        Condition::find(&self.status.conditions, kind)
    }
}

impl Shape for ClusterOperator {
    const COLUMNS: &'static [&'static str] = &["VERSION", "AVAILABLE", "PROGRESSING", "DEGRADED"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let is = |kind: &str, status: &str| self.condition(kind).filter(|known| known.status == status);
        if let Some(off) = is("Available", "False") {
            return Health::broken(format!("not available, {}", off.words()));
        }
        if let Some(degraded) = is("Degraded", "True") {
            return Health::broken(format!("degraded, {}", degraded.words()));
        }
        if let Some(unknown) = is("Available", "Unknown").or(is("Degraded", "Unknown")) {
            return Health::warning(format!("{} is unknown, {}", unknown.kind, unknown.words()));
        }
        match is("Available", "True") {
            Some(_) => Health::healthy(),
            None => Health::warning("it has not reported yet"),
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let status = |kind: &str| self.condition(kind).map(|known| known.status.clone()).unwrap_or_default();
        let own = self.status.versions.iter().find(|version| version.name == "operator");
        vec![
            own.map(|own| own.version.clone()).unwrap_or_default(),
            status("Available"),
            status("Progressing"),
            status("Degraded"),
        ]
    }
}
