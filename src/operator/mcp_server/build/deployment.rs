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
use crate::operator::mcp_server::validate::{Owner, Workload};

pub(super) fn build(
    owner: &Owner,
    workload: &Workload,
    child_labels: &BTreeMap<String, String>,
    config_hash: &str,
) -> Deployment {
    Deployment {
        metadata: labels::metadata(owner, child_labels),
        spec: Some(DeploymentSpec {
            revision_history_limit: Some(3),
            selector: LabelSelector {
                match_labels: Some(labels::matching(&owner.name.name)),
                ..LabelSelector::default()
            },
            // The old pod serves until the new one is ready.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::pods(owner)),
                    annotations: Some(BTreeMap::from([(CONFIG_HASH.to_owned(), config_hash.to_owned())])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::build(owner, workload)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}
