//! What a server's children must look like, as values. Needs no client and reads no clock: the same server gives
//! the same children.

mod bridge;
mod claims;
mod config_map;
mod deployment;
mod drain;
mod env;
mod external_secrets;
mod hash;
mod ingress;
mod labels;
mod names;
mod network_policy;
mod own_image;
mod placement;
mod pod;
mod probes;
mod readiness_gate;
mod scaling;
mod service;
mod service_account;
mod service_monitor;
mod sources;
mod volumes;

pub(super) use bridge::BRIDGE_CONTAINER;
pub(super) use hash::{DesiredHash, fingerprint};
pub(super) use labels::{COMPONENT, INSTANCE, MANAGED_BY, MANAGER, selector};
pub(super) use names::external as external_name;

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, core::DynamicObject};
use serde::Serialize;

use super::{
    super::data_source::ConnectedSources,
    child::Child,
    kind::Kind,
    validate::{Account, Owner, Workload},
};

/// What children depend on besides their MCPServer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    /// The namespace pilothouse runs in: its pods may call the server.
    pub own_namespace: &'a str,
    /// Changes when an object that the pods refer to has changed; see `rotation.rs`.
    pub rotation: Option<&'a str>,
    /// The DataSources it is connected to.
    pub sources: Option<&'a ConnectedSources>,
    /// The image of this pilothouse.
    pub own_image: Option<&'a str>,
    /// The pods that exist, as [`made_from`] says; none where there are none.
    pub running: Option<&'a str>,
}

/// What the pods of a Deployment were made from: another value rolls them.
pub(super) fn made_from(deployment: &Deployment) -> Option<&str> {
    let pods = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    pods.annotations.as_ref()?.get(hash::CONFIG_HASH).map(String::as_str)
}

/// The children of a server, each with its desired hash noted on it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Children {
    pub service_account: Option<ServiceAccount>,
    pub config_map: Option<ConfigMap>,
    /// The rendered template for DataSources.
    pub sources_map: Option<ConfigMap>,
    /// Credentials of DataSources of other namespaces; kept by `sources.rs`, since Secrets are not watched.
    pub sources_copy: Option<Secret>,
    pub claims: Vec<PersistentVolumeClaim>,
    pub external_secrets: Vec<DynamicObject>,
    pub network_policy: Option<NetworkPolicy>,
    pub service: Service,
    pub deployment: Deployment,
    pub disruption_budget: Option<PodDisruptionBudget>,
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    pub ingress: Option<Ingress>,
    pub service_monitor: Option<DynamicObject>,
}

/// # Errors
/// When a value cannot be written as JSON, which the types here do not allow.
pub(super) fn build(
    owner: &Owner,
    workload: &Workload,
    around: &Around<'_>,
) -> Result<Children, serde_json::Error> {
    let labels = labels::children(owner, workload);
    let of_pods = hash::of_pods(&owner.labels, workload)?;
    let rotated = hash::of_rotated(&of_pods, around.rotation)?;
    let config_hash = hash::of_connected(&rotated, around.sources.map(|sources| sources.hash.as_str()))?;
    // Children of these have always had the hash of the pods.
    let mut service = service::build(owner, workload, &labels);
    hash::note(&mut service, &of_pods)?;
    let mut deployment = deployment::build(owner, workload, &labels, &config_hash);
    if let Some(sources) = around.sources {
        sources::into_pod(&mut deployment, sources);
    }
    // Pods that are made anew get what this version brings; a new version alone makes none anew.
    if let (Some(image), Some(running)) = (around.own_image, around.running)
        && running != config_hash
    {
        own_image::renew(&mut deployment, image);
    }
    hash::note(&mut deployment, &config_hash)?;
    // After the hash: another number of pods is not another Deployment.
    if let Some(spec) = &mut deployment.spec {
        spec.replicas = Some(workload.replicas.first());
    }
    let service_account = match &workload.account {
        Account::Own { annotations } => {
            let mut account = service_account::build(owner, annotations, &labels);
            let inputs = if annotations.is_empty() {
                of_pods.clone()
            } else {
                hash::of_child(&owner.labels, &(&of_pods, annotations))?
            };
            hash::note(&mut account, &inputs)?;
            Some(account)
        }
        Account::Named(_) | Account::Default => None,
    };
    // Each of the others is written only when its own part of the spec changed.
    let noted = Noted { owner, labels: &labels };
    let config_map =
        workload.config.as_ref().map(|config| (config_map::build(owner, config, &labels), config));
    let sources_map = around.sources.and_then(|sources| sources::config_map(owner, sources, &labels));
    let sources_map = sources_map.map(|map| (map.data.clone(), map)).map(|(data, map)| (map, data));
    let network_policy = network_policy::build(owner, workload, around, &labels);
    let of_network = (
        &workload.network_policy,
        workload.port,
        &workload.ingress,
        &workload.metrics,
        workload.metrics.as_ref().map(|metrics| &metrics.monitor),
        &workload.tracing,
        around.own_namespace,
    );
    let budget = workload.disruption_budget.as_ref();
    let scaled = workload.replicas.range.zip(workload.autoscaling);
    let monitored = workload.metrics.as_ref().and_then(|metrics| Some((metrics, metrics.monitor.as_ref()?)));
    Ok(Children {
        service_account,
        config_map: noted.optional(config_map)?,
        sources_map: noted.optional(sources_map)?,
        sources_copy: around.sources.and_then(|sources| sources::secret(owner, sources, &labels)),
        claims: claims::build(owner, &workload.storage, &labels)
            .map(|(claim, asked)| noted.with(claim, &(&asked.size, &asked.storage_class, asked.access_mode)))
            .collect::<Result<_, _>>()?,
        external_secrets: external_secrets::build(owner, &workload.secrets, &labels)
            .map(|(external, asks)| noted.with(external, asks))
            .collect::<Result<_, _>>()?,
        network_policy: noted.optional(network_policy.map(|policy| (policy, &of_network)))?,
        service,
        deployment,
        disruption_budget: noted
            .optional(budget.map(|budget| (scaling::disruption_budget(owner, budget, &labels), budget)))?,
        autoscaler: noted.optional(scaled.map(|(range, targets)| {
            (scaling::autoscaler(owner, range, targets, &labels), (range.min, range.max, targets))
        }))?,
        ingress: noted.optional(
            workload.ingress.as_ref().map(|ingress| (ingress::build(owner, ingress, &labels), ingress)),
        )?,
        service_monitor: noted.optional(monitored.map(|(metrics, monitor)| {
            (service_monitor::build(owner, metrics, monitor, &labels), (metrics, monitor))
        }))?,
    })
}

/// Writes on a child the hash of its own part of the spec.
struct Noted<'a> {
    owner: &'a Owner,
    labels: &'a BTreeMap<String, String>,
}

impl Noted<'_> {
    fn with<K: Resource + Serialize>(
        &self,
        mut child: K,
        part: &impl Serialize,
    ) -> Result<K, serde_json::Error> {
        let inputs = hash::of_child(&self.owner.labels, &(self.labels, part))?;
        hash::note(&mut child, &inputs)?;
        Ok(child)
    }

    fn optional<K: Resource + Serialize, P: Serialize>(
        &self,
        child: Option<(K, P)>,
    ) -> Result<Option<K>, serde_json::Error> {
        child.map(|(child, part)| self.with(child, &part)).transpose()
    }
}

impl Children {
    /// All of them in the order in which they are made.
    ///
    /// # Errors
    /// As [`build`].
    pub(super) fn list(&self) -> Result<Vec<Child>, serde_json::Error> {
        // Without `..`, so that a kind cannot be forgotten.
        let Self {
            service_account,
            config_map,
            sources_map,
            // Before them, and not by a watch.
            sources_copy: _,
            claims,
            external_secrets,
            network_policy,
            service,
            deployment,
            disruption_budget,
            autoscaler,
            ingress,
            service_monitor,
        } = self;
        let mut all = Vec::new();
        let mut add = |child: Result<Child, serde_json::Error>| child.map(|child| all.push(child));
        service_account.iter().try_for_each(|one| add(Child::new(Kind::ServiceAccount, one)))?;
        config_map.iter().try_for_each(|one| add(Child::new(Kind::ConfigMap, one)))?;
        sources_map.iter().try_for_each(|one| add(Child::new(Kind::ConfigMap, one)))?;
        claims.iter().try_for_each(|one| add(Child::new(Kind::Claim, one)))?;
        external_secrets.iter().try_for_each(|one| add(Child::new(Kind::ExternalSecret, one)))?;
        network_policy.iter().try_for_each(|one| add(Child::new(Kind::NetworkPolicy, one)))?;
        add(Child::new(Kind::Service, service))?;
        add(Child::new(Kind::Deployment, deployment))?;
        disruption_budget.iter().try_for_each(|one| add(Child::new(Kind::DisruptionBudget, one)))?;
        autoscaler.iter().try_for_each(|one| add(Child::new(Kind::Autoscaler, one)))?;
        ingress.iter().try_for_each(|one| add(Child::new(Kind::Ingress, one)))?;
        service_monitor.iter().try_for_each(|one| add(Child::new(Kind::ServiceMonitor, one)))?;
        Ok(all)
    }
}

/// Where the server answers inside the cluster.
pub(super) fn service_url(owner: &Owner, workload: &Workload) -> String {
    let Workload { port, path, .. } = workload;
    format!("http://{}.{}.svc:{port}{path}", owner.name.name, owner.name.namespace)
}

/// Where it answers outside of it, with an Ingress.
pub(super) fn external_url(workload: &Workload) -> Option<String> {
    workload.ingress.as_ref().map(|declared| ingress::url(declared, &workload.path))
}

/// Where its metrics are inside the cluster.
pub(super) fn metrics_url(owner: &Owner, workload: &Workload) -> Option<String> {
    let metrics = workload.metrics.as_ref()?;
    let port = metrics.port.unwrap_or(workload.port);
    Some(format!("http://{}.{}.svc:{port}{}", owner.name.name, owner.name.namespace, metrics.path))
}

#[cfg(test)]
mod one_manifest;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole;
#[cfg(test)]
pub(super) use tests::children_of;
