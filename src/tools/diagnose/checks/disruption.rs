//! Disruption budgets that forbid every eviction, or protect nothing.

use k8s_openapi::{
    api::{
        core::v1::Pod,
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::tools::diagnose::{
    cause::Cause,
    customs,
    finding::{Evidence, Finding, ObjectRef, Severity},
    look::{reference, seconds_old},
    owning::workloads,
    picture::Picture,
    pods::is_ending,
    reach::has_all,
    selecting::{selects, words},
};

/// The controller counts within seconds.
const COUNTED_SECONDS: i64 = 10;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for budget in &picture.disruption_budgets {
        let object = reference("PodDisruptionBudget", &budget.metadata);
        let (Some(spec), Some(status)) = (&budget.spec, &budget.status) else { continue };
        if seconds_old(&budget.metadata, picture.now) < COUNTED_SECONDS {
            continue;
        }
        findings.extend(judge(picture, &object, budget, spec, status));
    }
}

fn judge(
    picture: &Picture,
    object: &ObjectRef,
    budget: &PodDisruptionBudget,
    spec: &PodDisruptionBudgetSpec,
    status: &PodDisruptionBudgetStatus,
) -> Option<Finding> {
    let seen = status.observed_generation.is_none_or(|seen| Some(seen) >= budget.metadata.generation);
    // A selector that is not there selects nothing; an empty one everything.
    let selector = spec.selector.as_ref()?;
    let pods: Vec<&Pod> = picture
        .pods
        .iter()
        .filter(|pod| {
            pod.metadata.namespace.as_ref() == Some(&object.namespace)
                && selects(selector, pod.metadata.labels.as_ref())
        })
        .collect();
    if !seen {
        return None;
    }
    if pods.is_empty() && status.expected_pods == 0 {
        return selects_nothing(picture, object, spec);
    }
    let PodDisruptionBudgetStatus {
        current_healthy,
        desired_healthy,
        disruptions_allowed,
        expected_pods,
        ..
    } = status;
    if *disruptions_allowed > 0 || *expected_pods == 0 {
        return None;
    }
    let (path, value) = limit(spec)?;
    let counted =
        format!("{path} {value} of {expected_pods}: {desired_healthy} must be ready, {current_healthy} are");
    let owners: Vec<ObjectRef> = pods.iter().map(|pod| picture.owner_of(pod)).collect();
    let evidence = [
        Evidence::field(object, &format!("spec.{path}"), value.as_str()),
        Evidence::field(object, "status.disruptionsAllowed", "0"),
    ];
    // Whoever drains a node now is stopped by it.
    let waiting = blocked(picture, &pods, object);
    if desired_healthy >= expected_pods {
        let stopped = waiting.as_ref().map_or_else(String::new, |(words, _)| format!("; {words}"));
        let mechanism =
            format!("PodDisruptionBudget {} never allows an eviction ({counted}){stopped}", object.name);
        // As long as nobody evicts anything nothing is broken by it.
        let severity = if waiting.is_some() { Severity::Critical } else { Severity::Warning };
        let confirm =
            format!("get_resource PodDisruptionBudget {} in {}: status", object.name, object.namespace);
        let change = format!("spec.{path}: one that leaves room for at least one eviction, or more pods");
        let cause = Cause::DisruptionBudgetBlocks;
        let finding = Finding::new(severity, cause, object, mechanism, confirm, change);
        let (objects, more) =
            waiting.map_or_else(Default::default, |(_, (objects, evidence))| (objects, evidence));
        return Some(finding.shown_by(evidence).shown_by(more).affecting(objects));
    }
    // It would allow one if the pods were well: what ails them is the cause.
    let (stopped, (objects, more)) = waiting?;
    let mechanism =
        format!("PodDisruptionBudget {} allows no eviction now ({counted}); {stopped}", object.name);
    let confirm = format!("list_resources pods in {} with labels {}", object.namespace, words(selector));
    let change = "mend the pods that are not ready; or spec.unhealthyPodEvictionPolicy: AlwaysAllow";
    let finding =
        Finding::new(Severity::Warning, Cause::DisruptionBudgetBlocks, object, mechanism, confirm, change);
    let pods = pods.iter().map(|pod| reference("Pod", &pod.metadata));
    Some(finding.shown_by(evidence).shown_by(more).affecting(objects).following(owners).following(pods))
}

fn limit(spec: &PodDisruptionBudgetSpec) -> Option<(&'static str, String)> {
    let words = |value: &IntOrString| match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(share) => share.clone(),
    };
    let least = spec.min_available.as_ref().map(|value| ("minAvailable", words(value)));
    least.or_else(|| spec.max_unavailable.as_ref().map(|value| ("maxUnavailable", words(value))))
}

/// Who waits because of it, and what shows it.
type Waiting = (Vec<ObjectRef>, Vec<Evidence>);

/// Nodes that are cordoned while such pods are on them, and events of evictions that were refused.
fn blocked(picture: &Picture, pods: &[&Pod], budget: &ObjectRef) -> Option<(String, Waiting)> {
    let refused = picture.events.iter().find(|event| {
        event.message.contains("disruption budget")
            && (event.message.contains(&budget.name)
                || pods.iter().any(|pod| reference("Pod", &pod.metadata) == event.object))
    });
    if let Some(event) = refused {
        let words = format!("an eviction was refused: {}", event.message);
        return Some((words, (vec![event.object.clone()], vec![picture.event_evidence(event)])));
    }
    let node = picture.nodes.iter().find(|node| {
        let cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
        cordoned
            && pods.iter().any(|pod| {
                let on = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
                on == node.metadata.name.as_ref() && !is_ending(pod)
            })
    })?;
    let node = reference("Node", &node.metadata);
    let words = format!("{} is cordoned and cannot be drained of its pods", node.words());
    let evidence = vec![Evidence::field(&node, "spec.unschedulable", "true")];
    Some((words, (vec![node], evidence)))
}

fn selects_nothing(picture: &Picture, object: &ObjectRef, spec: &PodDisruptionBudgetSpec) -> Option<Finding> {
    let selector = spec.selector.as_ref()?;
    let made = workloads(picture)
        .iter()
        .any(|maker| maker.object.namespace == object.namespace && selects(selector, maker.labels));
    let made_otherwise = picture.custom.iter().any(|value| {
        let labels = customs::template_labels(value);
        customs::reference(value).namespace == object.namespace
            && labels.is_some_and(|labels| selects(selector, Some(&labels)))
    });
    if made || made_otherwise || !has_all(picture, "Pod", &object.namespace) {
        return None;
    }
    let selects = words(selector);
    let mechanism = format!(
        "PodDisruptionBudget {} selects {selects}, and no pod is that: it protects nothing",
        object.name
    );
    let confirm = format!("list_resources pods in {} with labels {selects}", object.namespace);
    let change = "spec.selector: the labels of the pods that it shall protect, or take it away";
    let cause = Cause::DisruptionBudgetSelectsNothing;
    let finding = Finding::new(Severity::Warning, cause, object, mechanism, confirm, change);
    Some(finding.shown_by([Evidence::field(object, "spec.selector", selects)]))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const NONE: [&str; 0] = [];

    fn with(spec: &str, status: &str, node: &str) -> String {
        format!(
            "
kind: PodDisruptionBudget
metadata: {{ name: web }}
spec: {{ selector: {{ matchLabels: {{ app: web }} }}, {spec} }}
status: {status}
---
kind: Pod
metadata: {{ name: web-1, labels: {{ app: web }} }}
spec: {{ nodeName: n1, containers: [] }}
status: {{ phase: Running }}
---
kind: Node
metadata: {{ name: n1 }}
spec: {node}
"
        )
    }

    #[test]
    fn a_budget_that_never_allows_anything() {
        let status = "{ currentHealthy: 1, desiredHealthy: 1, disruptionsAllowed: 0, expectedPods: 1 }";
        let all = findings(check, &with("minAvailable: 1", status, "{}"));
        assert_eq!(
            all[0].mechanism,
            "PodDisruptionBudget web never allows an eviction (minAvailable 1 of 1: 1 must be ready, 1 are)"
        );
        let all = findings(check, &with("minAvailable: 1", status, "{ unschedulable: true }"));
        assert!(all[0].mechanism.ends_with("; Node n1 is cordoned and cannot be drained of its pods"));
        let room = "{ currentHealthy: 2, desiredHealthy: 1, disruptionsAllowed: 1, expectedPods: 2 }";
        assert_eq!(found(check, &with("minAvailable: 1", room, "{ unschedulable: true }")), NONE);
    }

    #[test]
    fn pods_that_are_not_ready_use_up_a_budget_that_is_right() {
        let status = "{ currentHealthy: 1, desiredHealthy: 1, disruptionsAllowed: 0, expectedPods: 2 }";
        assert_eq!(found(check, &with("minAvailable: 1", status, "{}")), NONE);
        let all = findings(check, &with("minAvailable: 1", status, "{ unschedulable: true }"));
        assert_eq!(all[0].follows[0].words(), "Pod shop/web-1");
    }

    #[test]
    fn a_budget_for_nobody() {
        let status = "{ currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 }";
        let yaml =
            with("maxUnavailable: 1", status, "{}").replace("labels: { app: web }", "labels: { app: api }");
        assert_eq!(found(check, &yaml), ["DisruptionBudgetSelectsNothing PodDisruptionBudget shop/web"]);
        let zero = "---\nkind: Deployment\nmetadata: { name: web }\nspec: { replicas: 0, selector: {}, template: { metadata: { labels: { app: web } }, spec: { containers: [] } } }";
        assert_eq!(found(check, &(yaml + zero)), NONE);
    }
}
