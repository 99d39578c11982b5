//! The pods of a server, as its EndpointSlices tell. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};
use kube::ResourceExt;

use crate::gateway::{Endpoint, ServerName};

/// The label that names a slice's Service.
const SERVICE: &str = "kubernetes.io/service-name";
/// The name of the port that is asked for MCP, when a Service has several.
const PORT: &str = "mcp";

/// What one slice says; little is kept of it, since there may be thousands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) server: ServerName,
    endpoints: Vec<Endpoint>,
}

impl Slice {
    /// `None`: it belongs to no Service, or its addresses are no IP addresses.
    pub(super) fn of(slice: &EndpointSlice) -> Option<Self> {
        let service = slice.labels().get(SERVICE)?;
        let server = ServerName { namespace: slice.namespace()?, name: service.clone() };
        if slice.address_type == "FQDN" {
            return None;
        }
        let ports = slice.ports.as_deref().unwrap_or_default();
        let port = ports.iter().find(|port| port.name.as_deref() == Some(PORT)).or_else(|| ports.first());
        let port = port.and_then(|port| port.port).and_then(|port| u16::try_from(port).ok());
        let endpoints = port.map_or_else(Vec::new, |port| {
            slice.endpoints.iter().filter_map(|endpoint| usable(endpoint, port)).collect()
        });
        Some(Self { server, endpoints })
    }
}

/// The endpoint when it may be used: ready, or still serving what it has while it terminates.
fn usable(endpoint: &SliceEndpoint, port: u16) -> Option<Endpoint> {
    let conditions = endpoint.conditions.as_ref();
    // Unknown means ready: the API says so.
    let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    let serving = conditions.and_then(|conditions| conditions.serving).unwrap_or(ready);
    let terminating = conditions.and_then(|conditions| conditions.terminating).unwrap_or(false);
    if !(ready || serving && terminating) {
        return None;
    }
    let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
    let pod = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
    Some(Endpoint {
        id: pod.unwrap_or_else(|| address.to_string()),
        address: SocketAddr::new(address, port),
        terminating,
    })
}

/// The pods in all slices of one server, sorted. A pod that stands in several (two address families, or on its
/// move from one slice to another) counts once: the first address, and terminating if any says so.
pub(super) fn pods<'a>(slices: impl Iterator<Item = &'a Slice>) -> Vec<Endpoint> {
    let mut pods = BTreeMap::<String, Endpoint>::new();
    for endpoint in slices.flat_map(|slice| &slice.endpoints) {
        pods.entry(endpoint.id.clone())
            .and_modify(|known| {
                known.address = known.address.min(endpoint.address);
                known.terminating |= endpoint.terminating;
            })
            .or_insert_with(|| endpoint.clone());
    }
    pods.into_values().collect()
}
