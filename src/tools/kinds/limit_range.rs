//! LimitRanges: what pods get and may ask for.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LimitRange {
    metadata: Meta,
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    limits: Option<Vec<Limit>>,
}

type Amounts = BTreeMap<String, String>;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Limit {
    #[serde(rename = "type")]
    kind: String,
    min: Amounts,
    max: Amounts,
    default_request: Amounts,
    #[serde(rename = "default")]
    default_limit: Amounts,
}

impl Limit {
    fn words(&self) -> String {
        let Self { kind, min, max, default_request, default_limit } = self;
        let parts = [
            ("min", min),
            ("max", max),
            ("default request", default_request),
            ("default limit", default_limit),
        ];
        let parts = parts.into_iter().filter(|(_, amounts)| !amounts.is_empty());
        let parts = parts.map(|(word, amounts)| {
            let amounts = amounts.iter().map(|(name, amount)| format!("{name}={amount}"));
            format!("{word} {}", amounts.collect::<Vec<_>>().join(" "))
        });
        format!("{kind}: {}", parts.collect::<Vec<_>>().join(", "))
    }
}

impl Shape for LimitRange {
    const COLUMNS: &'static [&'static str] = &["LIMITS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let limits = self.spec.limits.iter().flatten().map(Limit::words);
        vec![limits.collect::<Vec<_>>().join("; ")]
    }
}
