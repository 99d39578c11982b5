//! Services, and the endpoints behind them.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Facts, Health, Meta, Shape, exposure::Exposure};

/// Ready and all endpoints by namespace and Service.
#[derive(Clone, Debug, Default)]
pub(in crate::tools) struct Endpoints(HashMap<(String, String), (usize, usize)>);

impl Endpoints {
    /// Takes one EndpointSlice; what is none is left out.
    pub(in crate::tools) fn add(&mut self, slice: &RawValue) {
        #[derive(Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct Slice {
            metadata: Meta,
            endpoints: Option<Vec<Endpoint>>,
        }
        #[derive(Deserialize)]
        struct Endpoint {
            #[serde(default)]
            conditions: Conditions,
        }
        #[derive(Default, Deserialize)]
        struct Conditions {
            ready: Option<bool>,
        }
        let Ok(Slice { metadata, endpoints }) = serde_json::from_str(slice.get()) else { return };
        let Some(service) = metadata.labels.get("kubernetes.io/service-name") else { return };
        let (ready, all) = self.0.entry((metadata.namespace.clone(), service.clone())).or_default();
        for endpoint in endpoints.unwrap_or_default() {
            *all += 1;
            // Absent means ready.
            *ready += usize::from(endpoint.conditions.ready.unwrap_or(true));
        }
    }

    fn of(&self, meta: &Meta) -> (usize, usize) {
        self.0.get(&(meta.namespace.clone(), meta.name.clone())).copied().unwrap_or_default()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::tools) struct Service {
    metadata: Meta,
    spec: Spec,
    status: Exposure,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    external_name: String,
    selector: BTreeMap<String, String>,
    ports: Vec<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    port: u16,
    protocol: String,
}

impl Shape for Service {
    const COLUMNS: &'static [&'static str] = &["TYPE", "ADDRESS", "PORTS", "ENDPOINTS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, facts: &Facts) -> Health {
        let Spec { kind, selector, .. } = &self.spec;
        if kind == "LoadBalancer" && self.status.is_empty() {
            return Health::warning("no load balancer has taken it: it has no external address");
        }
        let Some(endpoints) = facts.endpoints.as_ref().filter(|_| !selector.is_empty()) else {
            return Health::unknown();
        };
        match endpoints.of(&self.metadata) {
            (_, 0) => {
                let (wanted, namespace) = (selector, &self.metadata.namespace);
                let selector: Vec<String> =
                    selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let near = facts.pods.as_ref().and_then(|pods| pods.nearest(namespace, wanted));
                let near = near.map_or_else(String::new, |near| format!(", nearest: {near}"));
                Health::broken(format!("selects no pod: {}{near}", selector.join(",")))
            }
            (0, all) => Health::broken(format!("none of its {all} endpoints is ready")),
            _ => Health::healthy(),
        }
    }

    fn cells(&self, facts: &Facts) -> Vec<String> {
        let Spec { kind, cluster_ip, external_name, ports, .. } = &self.spec;
        let own = if kind == "ExternalName" { external_name } else { cluster_ip };
        let address = self.status.addresses().next().unwrap_or(own);
        let ports: Vec<String> = ports
            .iter()
            .map(
                |Port { port, protocol }| {
                    if protocol == "TCP" { port.to_string() } else { format!("{port}/{protocol}") }
                },
            )
            .collect();
        let endpoints = facts.endpoints.as_ref().map(|endpoints| endpoints.of(&self.metadata));
        vec![
            kind.clone(),
            address.to_owned(),
            ports.join(","),
            endpoints.map_or_else(String::new, |(ready, all)| format!("{ready}/{all}")),
        ]
    }
}
