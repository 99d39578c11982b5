//! The HorizontalPodAutoscaler and the PodDisruptionBudget.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        autoscaling::v2::{
            CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
            MetricTarget, ResourceMetricSource,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use super::labels;
use crate::operator::mcp_server::validate::{Budget, Owner, Range, Targets};

pub(super) fn autoscaler(
    owner: &Owner,
    range: Range,
    targets: Targets,
    child_labels: &BTreeMap<String, String>,
) -> HorizontalPodAutoscaler {
    let Targets { cpu, memory } = targets;
    let metrics = [("cpu", cpu), ("memory", memory)];
    let metrics = metrics.into_iter().filter_map(|(name, percent)| Some(utilization(name, percent?)));
    HorizontalPodAutoscaler {
        metadata: labels::metadata(owner, child_labels),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: owner.name.name.clone(),
            },
            min_replicas: Some(range.min),
            max_replicas: range.max,
            metrics: Some(metrics.collect()),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        ..HorizontalPodAutoscaler::default()
    }
}

fn utilization(resource: &str, percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: resource.to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

pub(super) fn disruption_budget(
    owner: &Owner,
    budget: &Budget,
    child_labels: &BTreeMap<String, String>,
) -> PodDisruptionBudget {
    let (min_available, max_unavailable) = match budget {
        Budget::MinAvailable(min) => (Some(min.clone()), None),
        Budget::MaxUnavailable(max) => (None, Some(max.clone())),
    };
    PodDisruptionBudget {
        metadata: labels::metadata(owner, child_labels),
        spec: Some(PodDisruptionBudgetSpec {
            min_available,
            max_unavailable,
            selector: Some(LabelSelector {
                match_labels: Some(labels::matching(&owner.name.name)),
                ..LabelSelector::default()
            }),
            // A pod that crashes must not keep a node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        }),
        ..PodDisruptionBudget::default()
    }
}
