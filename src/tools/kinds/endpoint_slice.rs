//! EndpointSlices: how many addresses stand behind a Service, and how many of them take traffic.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointSlice {
    metadata: Meta,
    address_type: String,
    // The API server writes `null` for none.
    endpoints: Option<Vec<Endpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    addresses: Vec<String>,
    conditions: Conditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    port: Option<u16>,
    protocol: Option<String>,
}

impl Shape for EndpointSlice {
    const COLUMNS: &'static [&'static str] = &["TYPE", "ADDRESSES", "READY", "PORTS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    /// The Service tells it, over all its slices.
    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let endpoints = self.endpoints.as_deref().unwrap_or_default();
        let addresses: usize = endpoints.iter().map(|endpoint| endpoint.addresses.len()).sum();
        // Absent means ready.
        let ready = endpoints.iter().filter(|endpoint| endpoint.conditions.ready.unwrap_or(true));
        let ready: usize = ready.map(|endpoint| endpoint.addresses.len()).sum();
        let port = |Port { port, protocol }: &Port| match (port, protocol.as_deref()) {
            (None, _) => "all".to_owned(),
            (Some(port), None | Some("TCP")) => port.to_string(),
            (Some(port), Some(protocol)) => format!("{port}/{protocol}"),
        };
        let ports: Vec<String> = self.ports.iter().flatten().map(port).collect();
        vec![self.address_type.clone(), addresses.to_string(), ready.to_string(), ports.join(",")]
    }
}
