//! ResourceQuotas: what is used of what may be, the fullest first.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape};
use crate::tools::quantity;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Quota {
    metadata: Meta,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    hard: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
}

/// From here on a quota is nearly full.
const NEARLY: f64 = 0.9;

impl Quota {
    /// Name, used/hard, and the share that is used; none where nothing is allowed at all.
    fn shares(&self) -> Vec<(&str, String, Option<f64>)> {
        let Status { hard, used } = &self.status;
        let mut shares: Vec<_> = hard
            .iter()
            .map(|(name, hard)| {
                let used = used.get(name).map_or("0", String::as_str);
                let share =
                    quantity::amount(used).zip(quantity::amount(hard)).filter(|(_, hard)| *hard > 0.0);
                (name.as_str(), format!("{used}/{hard}"), share.map(|(used, hard)| used / hard))
            })
            .collect();
        shares.sort_by(|a, b| b.2.unwrap_or(0.0).total_cmp(&a.2.unwrap_or(0.0)).then(a.0.cmp(b.0)));
        shares
    }
}

impl Shape for Quota {
    const COLUMNS: &'static [&'static str] = &["USED"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let shares = self.shares();
        let above = |least: f64| {
            let above = shares.iter().filter(|(_, _, share)| share.is_some_and(|share| share >= least));
            above.map(|(name, words, _)| format!("{name} {words}")).collect::<Vec<_>>().join(", ")
        };
        match (above(1.0), above(NEARLY)) {
            (full, _) if !full.is_empty() => Health::warning(format!("full: {full}")),
            (_, nearly) if !nearly.is_empty() => {
                Health { why: format!("nearly full: {nearly}"), ..Health::unknown() }
            }
            _ => Health::healthy(),
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let shares = self.shares().into_iter().map(|(name, words, _)| format!("{name} {words}"));
        vec![shares.collect::<Vec<_>>().join(", ")]
    }
}
