//! Whether a node would take a pod: selector, affinity, taints, room.

use k8s_openapi::{
    api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration},
    apimachinery::pkg::api::resource::Quantity,
};

use crate::tools::quantity::billionths;

/// By nodeSelector and required node affinity.
pub(super) fn is_selected(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    let by_selector =
        spec.node_selector.iter().flatten().all(|(key, value)| label(key) == Some(value.as_str()));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required =
        affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let by_affinity = required
        .is_none_or(|required| required.node_selector_terms.iter().any(|term| meets_term(term, node)));
    by_selector && by_affinity
}

/// An empty term means nothing.
pub(super) fn meets_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let NodeSelectorTerm { match_expressions, match_fields } = term;
    let labels = node.metadata.labels.as_ref();
    let (mut expressions, mut fields) = (match_expressions.iter().flatten(), match_fields.iter().flatten());
    let is_empty = match_expressions.as_ref().is_none_or(Vec::is_empty)
        && match_fields.as_ref().is_none_or(Vec::is_empty);
    !is_empty
        && expressions
            .all(|one| meets(one, labels.and_then(|labels| labels.get(&one.key)).map(String::as_str)))
        && fields.all(|one| meets(one, node.metadata.name.as_deref()))
}

fn meets(requirement: &NodeSelectorRequirement, has: Option<&str>) -> bool {
    let NodeSelectorRequirement { key: _, operator, values } = requirement;
    let among = || values.iter().flatten().any(|value| has == Some(value.as_str()));
    let compared = |is: fn(&i64, &i64) -> bool| {
        let wanted = values.iter().flatten().next().and_then(|value| value.parse().ok());
        has.and_then(|has| has.parse().ok()).zip(wanted).is_some_and(|(has, wanted)| is(&has, &wanted))
    };
    match operator.as_str() {
        "In" => among(),
        "NotIn" => !among(),
        "Exists" => has.is_some(),
        "DoesNotExist" => has.is_none(),
        "Gt" => compared(i64::gt),
        "Lt" => compared(i64::lt),
        _ => false,
    }
}

/// What a pod asks of its node by labels, in words.
pub(super) fn wishes(spec: &PodSpec) -> Vec<String> {
    let selector = spec.node_selector.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required =
        affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let terms = required.iter().flat_map(|required| &required.node_selector_terms);
    let terms = terms
        .flat_map(|term| term.match_expressions.iter().flatten().chain(term.match_fields.iter().flatten()));
    let terms = terms.map(|one| {
        let values = one.values.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(",");
        format!("{} {} ({values})", one.key, one.operator)
    });
    selector.chain(terms).collect()
}

/// The first taint that keeps the pod away.
pub(super) fn untolerated<'a>(spec: &PodSpec, node: &'a Node) -> Option<&'a Taint> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let mut hard = taints.filter(|taint| taint.effect != "PreferNoSchedule");
    hard.find(|taint| !spec.tolerations.iter().flatten().any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let Toleration { effect, key, operator, toleration_seconds: _, value } = toleration;
    let any =
        |wanted: &Option<String>| wanted.as_deref().filter(|wanted| !wanted.is_empty()).map(str::to_owned);
    let effect = any(effect).is_none_or(|effect| effect == taint.effect);
    let key = any(key).is_none_or(|key| key == taint.key);
    let value = match operator.as_deref() {
        Some("Exists") => true,
        _ => value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
    };
    effect && key && value
}

/// What a pod asks for of a resource: its containers together, or its largest init container if that is more.
pub(super) fn requested(spec: &PodSpec, resource: &str) -> i128 {
    let of = |container: &k8s_openapi::api::core::v1::Container| {
        let resources = container.resources.as_ref();
        let requests = resources.and_then(|resources| resources.requests.as_ref());
        requests
            .and_then(|requests| requests.get(resource))
            .and_then(|amount| billionths(&amount.0))
            .unwrap_or(0)
    };
    let main: i128 = spec.containers.iter().map(of).sum();
    let (beside, before): (Vec<_>, Vec<_>) = spec
        .init_containers
        .iter()
        .flatten()
        .partition(|container| container.restart_policy.as_deref() == Some("Always"));
    let main = main + beside.into_iter().map(of).sum::<i128>();
    before.into_iter().map(of).max().unwrap_or(0).max(main)
}

/// The node that has most of a resource to give, with how much.
pub(super) fn largest<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    resource: &str,
) -> Option<(&'a Node, &'a Quantity, i128)> {
    let given = nodes.filter_map(|node| {
        let quantity = node.status.as_ref()?.allocatable.as_ref()?.get(resource)?;
        Some((node, quantity, billionths(&quantity.0)?))
    });
    given.max_by_key(|(_, _, amount)| *amount)
}

/// The ports of its node that a pod wants for itself.
pub(super) fn host_ports(spec: &PodSpec) -> String {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let ports: Vec<String> = ports
        .filter_map(
            |port| if spec.host_network == Some(true) { Some(port.container_port) } else { port.host_port },
        )
        .map(|port| port.to_string())
        .collect();
    ports.join(", ")
}
