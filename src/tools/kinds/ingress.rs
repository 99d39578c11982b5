//! Ingresses.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, exposure::Exposure};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ingress {
    metadata: Meta,
    spec: Spec,
    status: Exposure,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    ingress_class_name: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rule {
    host: String,
}

impl Shape for Ingress {
    const COLUMNS: &'static [&'static str] = &["CLASS", "HOSTS", "ADDRESS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        // Some controllers never write an address: its absence alone proves nothing.
        if self.status.is_empty() {
            return Health { why: "no controller has given it an address".to_owned(), ..Health::unknown() };
        }
        Health::healthy()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let hosts: Vec<&str> = self.spec.rules.iter().map(|rule| rule.host.as_str()).collect();
        let addresses: Vec<&str> = self.status.addresses().collect();
        vec![self.spec.ingress_class_name.clone(), hosts.join(","), addresses.join(",")]
    }
}
