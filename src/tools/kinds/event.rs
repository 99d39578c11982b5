//! Events, old and new form (`v1` and `events.k8s.io/v1`).

use jiff::Timestamp;
use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, age};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::tools) struct Event {
    pub(in crate::tools) metadata: Meta,
    #[serde(rename = "type")]
    pub(in crate::tools) kind: String,
    pub(in crate::tools) reason: String,
    #[serde(alias = "note")]
    pub(in crate::tools) message: String,
    #[serde(alias = "regarding")]
    pub(in crate::tools) involved_object: Object,
    count: Option<u32>,
    deprecated_count: Option<u32>,
    last_timestamp: Option<Timestamp>,
    event_time: Option<Timestamp>,
    series: Option<Series>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::tools) struct Object {
    pub(in crate::tools) kind: String,
    pub(in crate::tools) namespace: String,
    pub(in crate::tools) name: String,
    pub(in crate::tools) uid: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Series {
    count: u32,
    last_observed_time: Option<Timestamp>,
}

impl Event {
    pub(in crate::tools) fn last_seen(&self) -> Option<Timestamp> {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time);
        series.or(self.last_timestamp).or(self.event_time).or(self.metadata.creation_timestamp)
    }

    pub(in crate::tools) fn times(&self) -> u32 {
        let series = self.series.as_ref().map(|series| series.count);
        series.or(self.count).or(self.deprecated_count).unwrap_or(1).max(1)
    }

    pub(in crate::tools) fn is_warning(&self) -> bool {
        self.kind != "Normal"
    }
}

impl Shape for Event {
    const COLUMNS: &'static [&'static str] = &["TYPE", "LAST", "COUNT", "OBJECT", "REASON"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        if self.is_warning() {
            Health::warning(self.message.clone())
        } else {
            Health { why: self.message.clone(), ..Health::healthy() }
        }
    }

    fn cells(&self, facts: &Facts) -> Vec<String> {
        let Object { kind, name, namespace: _, uid: _ } = &self.involved_object;
        vec![
            self.kind.clone(),
            age(self.last_seen(), facts.now),
            self.times().to_string(),
            format!("{kind}/{name}"),
            self.reason.clone(),
        ]
    }
}
