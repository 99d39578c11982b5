//! The init containers that run from the image of pilothouse itself.

use k8s_openapi::api::apps::v1::Deployment;

use super::{super::super::data_source::FILL_CONTAINER, bridge::BRIDGE_CONTAINER};

/// Has the pods brought up by this image.
pub(super) fn renew(deployment: &mut Deployment, image: &str) {
    let pod = deployment.spec.as_mut().and_then(|spec| spec.template.spec.as_mut());
    let containers = pod.into_iter().flat_map(|pod| pod.init_containers.iter_mut().flatten());
    for container in containers.filter(|one| [BRIDGE_CONTAINER, FILL_CONTAINER].contains(&one.name.as_str()))
    {
        container.image = Some(image.to_owned());
    }
}
