//! What connects the pod to DataSources, put into the children.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Secret},
};

use super::{labels, pod::restricted};
use crate::operator::{data_source::ConnectedSources, mcp_server::validate::Owner};

/// Volumes, mount, environment and init container.
pub(super) fn into_pod(deployment: &mut Deployment, connected: &ConnectedSources) {
    let Some(pod) = deployment.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) else { return };
    pod.volumes.get_or_insert_default().extend(connected.volumes.iter().cloned());
    if let Some(filler) = &connected.init_container {
        let mut filler = filler.clone();
        filler.security_context = Some(restricted());
        pod.init_containers.get_or_insert_default().push(filler);
    }
    let Some(container) = pod.containers.first_mut() else { return };
    container.volume_mounts.get_or_insert_default().extend(connected.mount.iter().cloned());
    let env = container.env.get_or_insert_default();
    for variable in &connected.env {
        // What people set wins.
        if !env.iter().any(|set| set.name == variable.name) {
            env.push(variable.clone());
        }
    }
}

/// The rendered template, with owner and labels.
pub(super) fn config_map(
    owner: &Owner,
    connected: &ConnectedSources,
    child_labels: &BTreeMap<String, String>,
) -> Option<ConfigMap> {
    let mut map = connected.config_map.clone()?;
    let name = map.metadata.name.take();
    map.metadata = labels::metadata(owner, child_labels);
    map.metadata.name = name;
    Some(map)
}

/// The copied credentials, with owner and labels.
pub(super) fn secret(
    owner: &Owner,
    connected: &ConnectedSources,
    child_labels: &BTreeMap<String, String>,
) -> Option<Secret> {
    let mut secret = connected.secret.clone()?;
    let name = secret.metadata.name.take();
    secret.metadata = labels::metadata(owner, child_labels);
    secret.metadata.name = name;
    Some(secret)
}
