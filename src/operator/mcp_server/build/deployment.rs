//! The Deployment, but for its replicas: they are set at creation and then only `scale` changes them.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{hash::CONFIG_HASH, labels, pod};
use crate::{
    api::mcp_server::AccessMode,
    operator::mcp_server::{
        child::listed,
        validate::{Kept, Notes, Owner, Workload},
    },
};

pub(super) fn build(
    owner: &Owner,
    workload: &Workload,
    child_labels: &BTreeMap<String, String>,
    config_hash: &str,
) -> Deployment {
    let Notes { labels: pod_labels, annotations: pod_annotations } = &workload.notes;
    let mut all_labels = pod_labels.clone();
    all_labels.extend(labels::pods(owner));
    let mut annotations = listed(pod_annotations);
    annotations.insert(CONFIG_HASH.to_owned(), config_hash.to_owned());
    Deployment {
        metadata: labels::metadata(owner, child_labels),
        spec: Some(DeploymentSpec {
            revision_history_limit: Some(3),
            selector: LabelSelector {
                match_labels: Some(labels::matching(&owner.name.name)),
                ..LabelSelector::default()
            },
            strategy: Some(strategy(workload)),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(all_labels),
                    annotations: Some(annotations),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::build(owner, workload)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// The old pod serves until the new one is ready. Where both need the same volume and only one node can have it,
/// the new one would wait for it for ever: there the old one ends first.
fn strategy(workload: &Workload) -> DeploymentStrategy {
    let holds_its_volume = workload.storage.iter().any(
        |mount| matches!(&mount.volume, Kept::Own(claim) if claim.access_mode == AccessMode::ReadWriteOnce),
    );
    if holds_its_volume {
        return DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
    }
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_unavailable: Some(IntOrString::Int(0)),
            max_surge: Some(IntOrString::Int(1)),
        }),
    }
}
