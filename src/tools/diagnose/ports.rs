//! The ports that the containers of a pod declare.

use k8s_openapi::api::core::v1::{ContainerPort, PodSpec};

/// The declared port of this name and protocol, in a container or in an init container that keeps running (a sidecar).
pub(super) fn port_named<'a>(spec: &'a PodSpec, name: &str, protocol: &str) -> Option<&'a ContainerPort> {
    declared(spec).find(|port| port.name.as_deref() == Some(name) && is(port, protocol))
}

/// Whether a container declares this number. Declaring is not needed to listen.
pub(super) fn declares(spec: &PodSpec, number: i32, protocol: &str) -> bool {
    declared(spec).any(|port| port.container_port == number && is(port, protocol))
}

/// Every port that the containers and sidecars declare.
pub(super) fn declared(spec: &PodSpec) -> impl Iterator<Item = &ContainerPort> {
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten())
}

fn is(port: &ContainerPort, protocol: &str) -> bool {
    port.protocol.as_deref().unwrap_or("TCP") == protocol
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use k8s_openapi::api::core::v1::PodSpec;
    use serde_json::json;

    use super::{declares, port_named};

    #[test]
    fn ports_of_containers_and_sidecars() {
        let spec: PodSpec = serde_json::from_value(json!({
            "containers": [{ "name": "c", "ports": [{ "containerPort": 80, "name": "http" }] }],
            "initContainers": [
                { "name": "once", "ports": [{ "containerPort": 1 }] },
                { "name": "beside", "restartPolicy": "Always", "ports": [{ "containerPort": 53, "protocol": "UDP" }] }],
        }))
        .unwrap();
        assert_eq!(port_named(&spec, "http", "TCP").unwrap().container_port, 80);
        assert!(port_named(&spec, "http", "UDP").is_none());
        assert!(declares(&spec, 53, "UDP") && !declares(&spec, 1, "TCP"));
    }
}
