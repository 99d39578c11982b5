//! Namespaces.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, age, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Namespace {
    metadata: Meta,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    conditions: Vec<Condition>,
}

impl Shape for Namespace {
    const COLUMNS: &'static [&'static str] = &["STATUS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, facts: &Facts) -> Health {
        if self.status.phase != "Terminating" {
            return Health::healthy();
        }
        let since = age(self.metadata.deletion_timestamp, facts.now);
        let held = self.status.conditions.iter().find(|condition| condition.status == "True");
        let why = held.map_or_else(String::new, |held| format!(", {}", held.words()));
        Health::warning(format!("being deleted for {since}{why}"))
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        vec![self.status.phase.clone()]
    }
}
