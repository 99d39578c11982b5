//! Leases: who leads, and when that was last said.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, age};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lease {
    metadata: Meta,
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<i64>,
    renew_time: Option<Timestamp>,
}

impl Shape for Lease {
    const COLUMNS: &'static [&'static str] = &["HOLDER", "RENEWED"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    /// A lease that ran out may belong to what was taken away on purpose.
    fn health(&self, facts: &Facts) -> Health {
        let Spec { lease_duration_seconds, renew_time, .. } = &self.spec;
        let Some((renewed, lasts)) = renew_time.zip(*lease_duration_seconds) else {
            return Health::unknown();
        };
        if facts.now.as_second() - renewed.as_second() > lasts {
            return Health { why: format!("ran out: lasts {lasts}s"), ..Health::unknown() };
        }
        Health::healthy()
    }

    fn cells(&self, facts: &Facts) -> Vec<String> {
        let Spec { holder_identity, renew_time, .. } = &self.spec;
        let renewed = age(*renew_time, facts.now);
        let renewed = if renewed.is_empty() { renewed } else { format!("{renewed} ago") };
        vec![holder_identity.clone().unwrap_or_default(), renewed]
    }
}
