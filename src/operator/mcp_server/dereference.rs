//! Reads what exists: the Deployment, the pods that are not ready, what the gateway has seen. Needs a client. The
//! other children are read when they are applied, and only when a watch saw them move.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client,
    api::ListParams,
    core::{ApiResource, DynamicObject},
};

use super::build::{BRIDGE_CONTAINER, selector};
use crate::fleet::{Observation, Observations, ServerName};

/// Pods looked at to say why a server is not ready.
const PODS: u32 = 50;

/// What exists at this moment.
#[derive(Debug, Default)]
pub(super) struct Dereferenced {
    pub deployment: Option<Deployment>,
    /// The same as the API server answered it, with fields that our types do not know.
    pub stored_deployment: Option<DynamicObject>,
    /// Read only while a pod is not ready.
    pub pods: Vec<Pod>,
    pub observation: Option<Observation>,
}

impl Dereferenced {
    /// Every pod that is wanted is there and ready.
    pub(super) fn is_ready(&self) -> bool {
        self.deployment.as_ref().is_some_and(all_ready)
    }

    /// The image that brought the bridge into the pods that exist. It is kept until they are made anew for another
    /// reason: a new pilothouse alone rolls nobody's pods.
    pub(super) fn bridge_image(&self) -> Option<&str> {
        self.init_image(BRIDGE_CONTAINER)
    }

    /// The image of an init container of the pods that exist.
    pub(super) fn init_image(&self, container: &str) -> Option<&str> {
        let spec = self.deployment.as_ref()?.spec.as_ref()?.template.spec.as_ref()?;
        let container = spec.init_containers.as_ref()?.iter().find(|c| c.name == container)?;
        container.image.as_deref()
    }
}

/// # Errors
/// When the API server does not answer or refuses.
pub(super) async fn dereference(
    client: &Client,
    name: &ServerName,
    observations: &Observations,
) -> Result<Dereferenced, kube::Error> {
    let kind = ApiResource::erase::<Deployment>(&());
    let deployments = Api::<DynamicObject>::namespaced_with(client.clone(), &name.namespace, &kind);
    let stored_deployment = deployments.get_opt(&name.name).await?;
    let deployment: Option<Deployment> = match &stored_deployment {
        Some(stored) => {
            let value = serde_json::to_value(stored).and_then(serde_json::from_value);
            Some(value.map_err(kube::Error::SerdeError)?)
        }
        None => None,
    };
    let pods = match &deployment {
        Some(deployment) if !all_ready(deployment) => pods(client, name).await?,
        _ => Vec::new(),
    };
    let observation = observations.get(name).cloned();
    Ok(Dereferenced { deployment, stored_deployment, pods, observation })
}

fn all_ready(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation == deployment.metadata.generation
            && status.ready_replicas.unwrap_or(0) == wanted
            && status.updated_replicas.unwrap_or(0) == wanted
            && status.replicas.unwrap_or(0) == wanted
    })
}

async fn pods(client: &Client, name: &ServerName) -> Result<Vec<Pod>, kube::Error> {
    let params = ListParams::default().labels(&selector(&name.name)).limit(PODS);
    Ok(Api::<Pod>::namespaced(client.clone(), &name.namespace).list(&params).await?.items)
}
