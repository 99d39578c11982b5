//! What a server's children must look like, as values. Needs no client and reads no clock: the same server gives
//! the same children.

mod bridge;
mod deployment;
mod drain;
mod hash;
mod labels;
mod pod;
mod probes;
mod readiness_gate;
mod service;
mod service_account;

pub(super) use bridge::BRIDGE_CONTAINER;
pub(super) use hash::{DesiredHash, fingerprint};
pub(super) use labels::{COMPONENT, INSTANCE, MANAGED_BY, MANAGER, selector};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Service, ServiceAccount},
};

use super::validate::{Owner, Workload};

/// The children of a server, each with its desired hash noted on it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Children {
    pub service_account: ServiceAccount,
    pub service: Service,
    pub deployment: Deployment,
}

/// # Errors
/// When a value cannot be written as JSON, which the types here do not allow.
pub(super) fn build(owner: &Owner, workload: &Workload) -> Result<Children, serde_json::Error> {
    let labels = labels::children(owner, workload);
    let inputs = hash::inputs(&owner.labels, workload)?;
    let mut children = Children {
        service_account: service_account::build(owner, &labels),
        service: service::build(owner, workload, &labels),
        deployment: deployment::build(owner, workload, &labels, &inputs),
    };
    let Children { service_account, service, deployment } = &mut children;
    hash::note(service_account, &inputs)?;
    hash::note(service, &inputs)?;
    hash::note(deployment, &inputs)?;
    // After the hash: another number of pods is not another Deployment.
    if let Some(spec) = &mut deployment.spec {
        spec.replicas = Some(workload.replicas);
    }
    Ok(children)
}

/// Where the server answers inside the cluster.
pub(super) fn service_url(owner: &Owner, workload: &Workload) -> String {
    let Workload { port, path, .. } = workload;
    format!("http://{}.{}.svc:{port}{path}", owner.name.name, owner.name.namespace)
}

#[cfg(test)]
mod tests;
