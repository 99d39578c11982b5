//! Where pods run.

use k8s_openapi::{
    api::core::v1::{
        Affinity, PodAffinityTerm, PodAntiAffinity as Apart, PodSpec, TopologySpreadConstraint,
        WeightedPodAffinityTerm,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use super::labels;
use crate::{
    api::mcp_server::PodAntiAffinity,
    operator::mcp_server::validate::{Owner, Placement},
};

pub(super) fn place(pod: &mut PodSpec, owner: &Owner, placement: &Placement) {
    let Placement { node_selector, tolerations, affinity, apart, spread } = placement;
    pod.node_selector = (!node_selector.is_empty()).then(|| node_selector.clone());
    pod.tolerations = (!tolerations.is_empty()).then(|| tolerations.clone());
    pod.affinity = match apart {
        None => affinity.clone(),
        Some(how) => Some(Affinity {
            pod_anti_affinity: Some(from_each_other(owner, *how)),
            ..affinity.clone().unwrap_or_default()
        }),
    };
    pod.topology_spread_constraints =
        (!spread.is_empty()).then(|| spread.iter().map(|one| of_this_server(owner, one)).collect());
}

fn from_each_other(owner: &Owner, how: PodAntiAffinity) -> Apart {
    let term = PodAffinityTerm {
        label_selector: Some(selector(owner)),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    match how {
        PodAntiAffinity::Required => Apart {
            required_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..Apart::default()
        },
        PodAntiAffinity::Preferred => Apart {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: term,
            }]),
            ..Apart::default()
        },
    }
}

fn of_this_server(owner: &Owner, one: &TopologySpreadConstraint) -> TopologySpreadConstraint {
    let mut one = one.clone();
    one.label_selector.get_or_insert_with(|| selector(owner));
    one
}

fn selector(owner: &Owner) -> LabelSelector {
    LabelSelector { match_labels: Some(labels::matching(&owner.name.name)), match_expressions: None }
}
