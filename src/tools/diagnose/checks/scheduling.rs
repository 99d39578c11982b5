//! Pods that no node takes: the scheduler's own words, checked against the nodes.

use k8s_openapi::api::core::v1::{Node, PodSpec};

use super::{
    obstacles::{Obstacle, Why, deciding, obstacles},
    placement::{host_ports, is_selected, largest, requested, untolerated, wishes},
    subject::{Subject, subjects},
};
use crate::{
    answer::counted,
    tools::diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::reference,
        picture::{EventFacts, Picture},
        pods::{condition, is_unscheduled},
    },
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        if is_unscheduled(subject.pod, picture.now) {
            findings.extend(unscheduled(&subject));
        }
    }
}

fn unscheduled(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(spec) = subject.spec() else { return Vec::new() };
    let scheduled = condition(subject.pod, "PodScheduled");
    if scheduled.is_some_and(|scheduled| scheduled.reason.as_deref() == Some("SchedulingGated")) {
        return Vec::new();
    }
    let event = subject.event(&["FailedScheduling"]);
    let message = scheduled.and_then(|scheduled| scheduled.message.clone()).unwrap_or_default();
    let message = event.map_or(message, |event| event.message.clone());
    let scheduler = spec.scheduler_name.as_deref().unwrap_or("default-scheduler");
    if message.is_empty() {
        let nobody = scheduler != "default-scheduler" && scheduled.is_none();
        return nobody.then(|| unknown_scheduler(subject, scheduler)).into_iter().collect();
    }
    let obstacles = obstacles(&message);
    let Some(obstacle) = deciding(&obstacles, spec, &subject.picture.nodes) else { return Vec::new() };
    let case = Case { subject, spec, event, message: &message };
    case.judge(obstacle).into_iter().collect()
}

fn unknown_scheduler(subject: &Subject<'_>, scheduler: &str) -> Finding {
    let mechanism =
        format!("its pods wait for a scheduler named {scheduler}, and none of that name takes them");
    let field = subject.path("schedulerName");
    let change = format!("{field}: default-scheduler, or run {scheduler}");
    subject
        .finding(Severity::Critical, Cause::SchedulerUnknown, mechanism, subject.get_call(), change)
        .shown_by([
            subject.field("spec.schedulerName", scheduler),
            subject.field("status.conditions", "no PodScheduled"),
        ])
}

struct Case<'a, 'p> {
    subject: &'a Subject<'p>,
    spec: &'a PodSpec,
    event: Option<&'a EventFacts>,
    message: &'a str,
}

impl Case<'_, '_> {
    fn judge(&self, obstacle: &Obstacle) -> Option<Finding> {
        let Self { subject, spec, .. } = self;
        let nodes = &subject.picture.nodes;
        Some(match obstacle.why {
            Why::Claim => return None,
            Why::Resources => self.resources(&obstacle.words),
            Why::NodeSelector => {
                let wishes = wishes(spec).join(", ");
                let known = nodes.iter().filter(|node| is_selected(spec, node)).count();
                let mechanism = match known {
                    0 => format!("no node has what its pods select: {wishes}"),
                    _ => format!(
                        "{} with what its pods select ({wishes}) cannot take them",
                        counted(known, "node")
                    ),
                };
                let field =
                    if spec.node_selector.is_some() { "nodeSelector" } else { "affinity.nodeAffinity" };
                self.finding(
                    Cause::NodeSelectorUnmatched,
                    mechanism,
                    field,
                    "labels that nodes have",
                    Some(wishes),
                )
            }
            Why::Taint => {
                let selected = || nodes.iter().filter(|node| is_selected(spec, node));
                let taint = selected().find_map(|node| untolerated(spec, node));
                let taint = taint.map_or_else(
                    || obstacle.words.clone(),
                    |taint| {
                        format!(
                            "{}={}:{}",
                            taint.key,
                            taint.value.as_deref().unwrap_or_default(),
                            taint.effect
                        )
                    },
                );
                let mechanism = format!("its pods do not tolerate the taint {taint} of the nodes");
                let tainted = selected().filter(|node| untolerated(spec, node).is_some());
                let tainted: Vec<ObjectRef> = tainted.map(|node| reference("Node", &node.metadata)).collect();
                let finding = self.finding(
                    Cause::TaintNotTolerated,
                    mechanism,
                    "tolerations",
                    &format!("one for {taint}"),
                    None,
                );
                // Taints of nodes that are not well are put on by the cluster itself.
                let by_cluster = taint.starts_with("node.kubernetes.io/");
                finding.following(tainted.into_iter().filter(|_| by_cluster))
            }
            Why::Unschedulable => {
                let cordoned = nodes
                    .iter()
                    .filter(|node| is_cordoned(node))
                    .map(|node| reference("Node", &node.metadata));
                let mechanism = "the nodes that would take its pods are cordoned".to_owned();
                self.finding(
                    Cause::TaintNotTolerated,
                    mechanism,
                    "tolerations",
                    "nothing: uncordon the nodes",
                    None,
                )
                .following(cordoned)
            }
            Why::AntiAffinity => {
                let of_pods = obstacle.words.contains("anti-affinity");
                let mechanism = if of_pods {
                    format!(
                        "its pods must not share {} with others, and none without these is left",
                        self.anti_key()
                    )
                } else {
                    "its pods must run beside others (pod affinity) that run nowhere they could".to_owned()
                };
                let field = if of_pods { "affinity.podAntiAffinity" } else { "affinity.podAffinity" };
                let change = "preferred instead of required, fewer replicas, or more nodes";
                self.finding(Cause::AntiAffinityUnsatisfiable, mechanism, field, change, None)
            }
            Why::Spread => {
                let constraint = spec.topology_spread_constraints.iter().flatten().next();
                let key = constraint.map_or("", |constraint| constraint.topology_key.as_str());
                let skew = constraint.map_or(1, |constraint| constraint.max_skew);
                let mechanism = format!(
                    "its pods must spread over {key} with at most {skew} more in one than in another, and no node allows that"
                );
                let change = "whenUnsatisfiable: ScheduleAnyway, or nodes with the topology key";
                self.finding(
                    Cause::TopologySpreadUnsatisfiable,
                    mechanism,
                    "topologySpreadConstraints",
                    change,
                    Some(key.to_owned()),
                )
            }
            Why::HostPort => {
                let ports = host_ports(spec);
                let mechanism =
                    format!("its pods want host port {ports}, which another pod on every node already has");
                self.finding(
                    Cause::HostPortTaken,
                    mechanism,
                    "containers",
                    "no hostPort, or a free one",
                    Some(format!("hostPort {ports}")),
                )
            }
            Why::VolumeAffinity => {
                let mechanism =
                    "its volume can only be used on other nodes than those that would take the pod"
                        .to_owned();
                self.finding(
                    Cause::VolumeNodeAffinity,
                    mechanism,
                    "volumes",
                    "a volume that the nodes can use, or nodes where it is",
                    None,
                )
                .following(self.claims())
            }
            Why::VolumeInUse => {
                let mechanism = "its claim is ReadWriteOncePod and another pod uses it".to_owned();
                self.finding(
                    Cause::VolumeInUseElsewhere,
                    mechanism,
                    "volumes",
                    "one pod at a time, or another access mode",
                    None,
                )
            }
        })
    }

    fn finding(
        &self,
        cause: Cause,
        mechanism: String,
        field: &str,
        change: &str,
        value: Option<String>,
    ) -> Finding {
        let Self { subject, event, message, .. } = self;
        let change = format!("{}: {change}", subject.path(field));
        let shown = subject
            .evidence(*event)
            .unwrap_or_else(|| subject.field("status.conditions[type=PodScheduled].message", *message));
        let value = value.map(|value| subject.field(&format!("spec.{field}"), value));
        subject
            .finding(Severity::Critical, cause, mechanism, "list_resources kind=nodes", change)
            .shown_by([shown])
            .shown_by(value)
            .following([subject.this.clone()])
    }

    fn claims(&self) -> Vec<ObjectRef> {
        let claims =
            self.spec.volumes.iter().flatten().filter_map(|volume| volume.persistent_volume_claim.as_ref());
        let namespace = &self.subject.this.namespace;
        claims.map(|claim| ObjectRef::new("PersistentVolumeClaim", namespace, &claim.claim_name)).collect()
    }

    fn anti_key(&self) -> String {
        let affinity = self.spec.affinity.as_ref().and_then(|affinity| affinity.pod_anti_affinity.as_ref());
        let terms = affinity
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
        match terms.and_then(|terms| terms.first()).map(|term| term.topology_key.as_str()) {
            Some("kubernetes.io/hostname") | None => "a node".to_owned(),
            Some(key) => format!("a {key}"),
        }
    }

    /// Too much for any node, or for what is left of them.
    fn resources(&self, words: &str) -> Finding {
        let Self { subject, spec, .. } = self;
        let resource = words.split("Insufficient ").nth(1).unwrap_or("pods").trim();
        let wanted = requested(spec, resource);
        let asked = asked(spec, resource);
        let nodes = || subject.picture.nodes.iter();
        let open = nodes().filter(|node| is_selected(spec, node) && untolerated(spec, node).is_none());
        let largest = largest(open, resource);
        let (mechanism, evidence) = match largest {
            Some((node, quantity, most)) if wanted > most => {
                let node = reference("Node", &node.metadata);
                let mechanism = format!(
                    "its pods request {asked} of {resource}, more than any node has: the largest, {}, has {}",
                    node.name, quantity.0
                );
                (
                    mechanism,
                    Some(Evidence::field(&node, &format!("status.allocatable.{resource}"), &*quantity.0)),
                )
            }
            Some((node, quantity, _)) => {
                let node = reference("Node", &node.metadata);
                let mechanism = format!(
                    "its pods request {asked} of {resource}, and no node has that much left (the largest, {}, has {} in all)",
                    node.name, quantity.0
                );
                (
                    mechanism,
                    Some(Evidence::field(&node, &format!("status.allocatable.{resource}"), &*quantity.0)),
                )
            }
            None if nodes().next().is_some() => {
                (format!("its pods request {resource}, which no node has at all"), None)
            }
            None => (format!("its pods request {asked} of {resource}, and no node has that much left"), None),
        };
        let change = format!("requests.{resource} that a node has, or a larger node");
        self.finding(
            Cause::ResourcesInsufficient,
            mechanism,
            "containers[].resources",
            &change,
            Some(format!("requests.{resource} {asked}")),
        )
        .shown_by(evidence)
    }
}

/// As it is written, where one container asks for it; else how many do.
fn asked(spec: &PodSpec, resource: &str) -> String {
    let requests =
        spec.containers.iter().chain(spec.init_containers.iter().flatten()).filter_map(|container| {
            container.resources.as_ref()?.requests.as_ref()?.get(resource).map(|quantity| quantity.0.clone())
        });
    let requests: Vec<String> = requests.collect();
    if requests.is_empty() { "some".to_owned() } else { requests.join(" + ") }
}

fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    fn pod(spec: &str, message: &str) -> String {
        format!(
            r#"
kind: Pod
metadata: {{ name: p }}
spec: {{ containers: [{{ name: main, resources: {{ requests: {{ cpu: "4" }} }} }}], {spec} }}
status: {{ phase: Pending }}
---
kind: Event
object: {{ kind: Pod, name: p }}
reason: FailedScheduling
message: '{message}'
---
kind: Node
metadata: {{ name: n1, labels: {{ disk: hdd }} }}
status: {{ allocatable: {{ cpu: "2" }} }}
"#
        )
    }

    #[test]
    fn nodes_that_are_not_meant_do_not_decide() {
        let tainted = r#"
---
kind: Node
metadata: { name: n2, labels: { disk: ssd } }
spec: { taints: [{ key: only, value: us, effect: NoSchedule }] }
status: { allocatable: { cpu: "8" } }
"#;
        let taint = "1 node(s) had untolerated taint {only: us}";
        let message = format!(
            "0/2 nodes are available: {taint}, 1 node(s) didn''t match Pod''s node affinity/selector."
        );
        let selecting = pod("nodeSelector: { disk: ssd }", &message) + tainted;
        assert_eq!(found(check, &selecting), ["TaintNotTolerated Pod shop/p"]);
        let message = format!("0/2 nodes are available: {taint}, 1 Insufficient cpu.");
        let all = findings(check, &(pod("", &message) + tainted));
        let said = "its pods request 4 of cpu, more than any node has: the largest, n1, has 2";
        assert_eq!(all[0].mechanism, said);
    }

    #[test]
    fn a_request_is_compared_with_the_largest_node() {
        let all = findings(check, &pod("", "0/1 nodes are available: 1 Insufficient cpu."));
        assert_eq!(all.len(), 1);
        let said = "its pods request 4 of cpu, more than any node has: the largest, n1, has 2";
        assert_eq!(all[0].mechanism, said);
    }

    #[test]
    fn a_scheduler_that_is_not_there() {
        let yaml = pod("schedulerName: mine", "").replace("reason: FailedScheduling", "reason: Other");
        assert_eq!(found(check, &yaml), ["SchedulerUnknown Pod shop/p"]);
    }

    #[test]
    fn a_selector_that_no_node_fits_is_named() {
        let message = "0/1 nodes are available: 1 node(s) didn''t match Pod''s node affinity/selector.";
        let all = findings(check, &pod("nodeSelector: { disk: ssd }", message));
        assert_eq!(all[0].mechanism, "no node has what its pods select: disk=ssd");
    }
}
