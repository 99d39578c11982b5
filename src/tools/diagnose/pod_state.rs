//! How a pod is, in the few words that several checks need.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ContainerPort, Pod, PodCondition, PodSpec},
    apimachinery::pkg::apis::meta::v1::Time,
};

/// The API server counts it as ready: its Service sends it traffic.
pub(super) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// It has ended and will not run again: no Service counts on it.
pub(super) fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Somebody has deleted it; it may still be running.
pub(super) fn is_going(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// It runs ready, or it has ended well: nothing about it needs a word.
pub(super) fn is_well(pod: &Pod) -> bool {
    phase(pod) == "Succeeded" || (phase(pod) == "Running" && is_ready(pod))
}

/// Empty before the API server has written one.
pub(super) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

pub(super) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// The declared port of this name and protocol, in a container or in an init container that keeps running (a sidecar).
pub(super) fn port_named<'a>(spec: &'a PodSpec, name: &str, protocol: &str) -> Option<&'a ContainerPort> {
    ports(spec).find(|port| port.name.as_deref() == Some(name) && is(port, protocol))
}

/// Whether a container declares this number. Declaring is not needed to listen.
pub(super) fn declares(spec: &PodSpec, number: i32, protocol: &str) -> bool {
    ports(spec).any(|port| port.container_port == number && is(port, protocol))
}

/// Every port that the containers and sidecars declare.
pub(super) fn ports(spec: &PodSpec) -> impl Iterator<Item = &ContainerPort> {
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten())
}

fn is(port: &ContainerPort, protocol: &str) -> bool {
    port.protocol.as_deref().unwrap_or("TCP") == protocol
}

/// Whole seconds from `since` to `now`; none where there is no time.
pub(super) fn seconds(since: Option<&Time>, now: Timestamp) -> Option<i64> {
    since.map(|Time(since)| now.as_second() - since.as_second())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use k8s_openapi::api::core::v1::{Pod, PodSpec};
    use serde_json::json;

    use super::{declares, is_over, is_ready, is_well, port_named};

    #[test]
    fn ready_well_and_over_are_three_things() {
        let pod = |phase: &str, ready: &str| -> Pod {
            let status = json!({ "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] });
            serde_json::from_value(json!({ "metadata": {}, "status": status })).unwrap()
        };
        let told = |pod: Pod| (is_ready(&pod), is_well(&pod), is_over(&pod));
        assert_eq!(told(pod("Running", "True")), (true, true, false));
        assert_eq!(told(pod("Running", "False")), (false, false, false));
        assert_eq!(told(pod("Succeeded", "False")), (false, true, true));
        assert_eq!(told(pod("Failed", "False")), (false, false, true));
        assert_eq!(told(Pod::default()), (false, false, false));
    }

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
