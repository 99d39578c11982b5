//! The Service, for everybody but the gateway, which reaches the pods themselves.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{labels, pod::PORT_NAME};
use crate::operator::mcp_server::validate::{Owner, Workload};

pub(super) fn build(owner: &Owner, workload: &Workload, child_labels: &BTreeMap<String, String>) -> Service {
    Service {
        metadata: labels::metadata(owner, child_labels),
        spec: Some(ServiceSpec {
            selector: Some(labels::matching(&owner.name.name)),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: i32::from(workload.port),
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            // A session lives in one pod.
            session_affinity: Some("ClientIP".to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
