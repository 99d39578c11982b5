//! The Service, for everybody but the gateway, which reaches the pods themselves.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    labels,
    pod::{METRICS_PORT_NAME, PORT_NAME},
};
use crate::operator::mcp_server::validate::{Owner, Workload};

pub(super) fn build(owner: &Owner, workload: &Workload, child_labels: &BTreeMap<String, String>) -> Service {
    let metrics = workload.metrics.as_ref().and_then(|metrics| metrics.port);
    Service {
        metadata: labels::metadata(owner, child_labels),
        spec: Some(ServiceSpec {
            selector: Some(labels::matching(&owner.name.name)),
            ports: Some(
                [Some((PORT_NAME, workload.port)), metrics.map(|port| (METRICS_PORT_NAME, port))]
                    .into_iter()
                    .flatten()
                    .map(|(name, port)| service_port(name, port))
                    .collect(),
            ),
            // A session lives in one pod.
            session_affinity: Some("ClientIP".to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn service_port(name: &str, port: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
