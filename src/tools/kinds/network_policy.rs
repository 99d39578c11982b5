//! NetworkPolicies: whom they are for, and how much they let through.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{Facts, Health, Meta, Shape};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NetworkPolicy {
    metadata: Meta,
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    pod_selector: Selector,
    policy_types: Option<Vec<String>>,
    ingress: Option<Vec<Value>>,
    egress: Option<Vec<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Option<Vec<IgnoredAny>>,
}

impl Selector {
    fn words(&self) -> String {
        let mut terms: Vec<String> =
            self.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let more = self.match_expressions.as_ref().map_or(0, Vec::len);
        if more > 0 {
            terms.push(format!("{more} expressions"));
        }
        if terms.is_empty() { "all".to_owned() } else { terms.join(",") }
    }
}

impl Spec {
    fn direction(&self, kind: &str, rules: Option<&Vec<Value>>) -> String {
        // Without types, ingress always counts, egress if it has rules.
        let counts = match &self.policy_types {
            Some(types) => types.iter().any(|one| one == kind),
            None => kind == "Ingress" || rules.is_some(),
        };
        let rules = rules.map(Vec::as_slice).unwrap_or_default();
        let all = |rule: &Value| rule.as_object().is_some_and(serde_json::Map::is_empty);
        match (counts, rules.len()) {
            (false, _) => "not limited".to_owned(),
            (true, 0) => "none".to_owned(),
            (true, _) if rules.iter().any(all) => "all".to_owned(),
            (true, 1) => "1 rule".to_owned(),
            (true, count) => format!("{count} rules"),
        }
    }
}

impl Shape for NetworkPolicy {
    const COLUMNS: &'static [&'static str] = &["PODS", "LETS-IN", "LETS-OUT"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let spec = &self.spec;
        vec![
            spec.pod_selector.words(),
            spec.direction("Ingress", spec.ingress.as_ref()),
            spec.direction("Egress", spec.egress.as_ref()),
        ]
    }
}
