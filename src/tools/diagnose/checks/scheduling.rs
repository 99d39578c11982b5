//! Pods that no node takes: the scheduler's own words, checked against the nodes.

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::{Node, PodSpec};

use super::{
    placement::{is_selected, largest, requested, untolerated, wishes},
    subject::{Subject, subjects},
};
use crate::{
    answer::counted,
    tools::diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::{reference, seconds_old},
        owning::workloads,
        picture::{EventFacts, Picture},
        pods::{RECENT_SECONDS, TURN_SECONDS, condition, is_ready, is_unscheduled, phase},
    },
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        if is_unscheduled(subject.pod, picture.now) {
            findings.extend(unscheduled(&subject));
        }
        findings.extend(refused_by_node(&subject));
    }
    findings.extend(pinned(picture));
    findings.extend(preempted(picture));
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

/// Why some nodes do not take a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    // In the order in which one explains more than the other.
    NodeSelector,
    VolumeAffinity,
    VolumeInUse,
    HostPort,
    AntiAffinity,
    Spread,
    Taint,
    Unschedulable,
    Resources,
    /// Told by the check of storage, which knows the claim.
    Claim,
}

/// Why, of how many nodes, and in the scheduler's words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Obstacle {
    nodes: u32,
    why: Why,
    words: String,
}

/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}. preemption: ...`
fn obstacles(message: &str) -> Vec<Obstacle> {
    let message = message.split(" preemption:").next().unwrap_or(message);
    let reasons = message.split_once(": ").map_or(message, |(_, reasons)| reasons);
    let mut found = Vec::new();
    for part in reasons.split(", ") {
        let part = part.trim().trim_end_matches('.');
        let (nodes, words) = match part.split_once(' ') {
            Some((count, words)) if count.parse::<u32>().is_ok() => (count.parse().unwrap_or(0), words),
            _ => (1, part),
        };
        if let Some(why) = why(words) {
            found.push(Obstacle { nodes, why, words: words.to_owned() });
        }
    }
    found
}

fn why(words: &str) -> Option<Why> {
    let has = |part: &str| words.contains(part);
    Some(if has("ReadWriteOncePod") {
        Why::VolumeInUse
    } else if has("persistentvolumeclaim")
        || has("PersistentVolumeClaims")
        || has("persistent volumes to bind")
    {
        Why::Claim
    } else if has("Insufficient") || has("Too many pods") || has("max volume count") {
        Why::Resources
    } else if has("node affinity/selector") || has("node selector") {
        Why::NodeSelector
    } else if has("volume node affinity") || has("PersistentVolume's node affinity") {
        Why::VolumeAffinity
    } else if has("topology spread") {
        Why::Spread
    } else if has("affinity") {
        Why::AntiAffinity
    } else if has("free ports") {
        Why::HostPort
    } else if has("taint") {
        Why::Taint
    } else if has("unschedulable") {
        Why::Unschedulable
    } else {
        return None;
    })
}

/// The one that keeps most nodes away; of equals the one that explains more.
fn worst<'a>(obstacles: &[&'a Obstacle]) -> Option<&'a Obstacle> {
    obstacles.iter().copied().min_by_key(|obstacle| (Reverse(obstacle.nodes), obstacle.why))
}

/// The obstacle on the nodes that could be meant: those that the pod does not select are no loss where it selects
/// others, and of these the tainted ones are none where others are not.
fn deciding<'a>(obstacles: &'a [Obstacle], spec: &PodSpec, nodes: &[Node]) -> Option<&'a Obstacle> {
    let is_open = nodes.iter().any(|node| is_selected(spec, node) && untolerated(spec, node).is_none());
    let is_selecting = nodes.iter().any(|node| is_selected(spec, node));
    let passed = |why: Why| match why {
        Why::NodeSelector => is_selecting,
        Why::Taint => is_open,
        _ => false,
    };
    let left: Vec<&Obstacle> = obstacles.iter().filter(|obstacle| !passed(obstacle.why)).collect();
    let first = |why: Why| left.iter().copied().find(|obstacle| obstacle.why == why);
    let by_labels = first(Why::NodeSelector).filter(|_| !nodes.is_empty());
    let by_taint = first(Why::Taint).filter(|_| is_selecting);
    by_labels.or(by_taint).or_else(|| worst(&left)).or_else(|| obstacles.first())
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
                let taint = nodes.iter().find_map(|node| untolerated(spec, node));
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
                let tainted = nodes.iter().filter(|node| untolerated(spec, node).is_some());
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

fn host_ports(spec: &PodSpec) -> String {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let ports: Vec<String> = ports
        .filter_map(
            |port| if spec.host_network == Some(true) { Some(port.container_port) } else { port.host_port },
        )
        .map(|port| port.to_string())
        .collect();
    ports.join(", ")
}

/// Given to a node by name, which then refused it.
fn refused_by_node(subject: &Subject<'_>) -> Option<Finding> {
    let status = subject.pod.status.as_ref().filter(|_| phase(subject.pod) == "Failed")?;
    let (reason, message) = (status.reason.as_deref()?, status.message.as_deref().unwrap_or_default());
    let spec = subject.spec()?;
    let (cause, why, change) = match reason {
        "NodePorts" | "HostPortConflict" => {
            let ports = host_ports(spec);
            (
                Cause::HostPortTaken,
                format!("its pods want host port {ports}, which another pod on the node already has"),
                "a free hostPort, or none",
            )
        }
        "NodeAffinity" => (
            Cause::NodeSelectorUnmatched,
            format!("its node does not have what it selects: {}", wishes(spec).join(", ")),
            "labels that the node has",
        ),
        "Preempting" => (
            Cause::PodPreempted,
            "the node ended it for a pod of higher priority".to_owned(),
            "a higher priorityClassName, or more room",
        ),
        _ if reason.starts_with("OutOf") => (
            Cause::ResourcesInsufficient,
            format!("the node that it is bound to by name has no room for it: {message}"),
            "no nodeName, so that the scheduler looks for room",
        ),
        _ => return None,
    };
    // Replaced, and long ago: the pod that is left over says nothing of now.
    let is_served = subject.picture.pods_of(&subject.owner).any(is_ready);
    if is_served && seconds_old(&subject.pod.metadata, subject.picture.now) > RECENT_SECONDS {
        return None;
    }
    let severity = if is_served { Severity::Warning } else { Severity::Critical };
    let evidence = [subject.field("status.reason", reason), subject.field("status.message", message)];
    Some(subject.finding(severity, cause, why, subject.get_call(), change).shown_by(evidence))
}

/// Pods that are told to run on a node that is not there. The cluster removes them after a while, and their maker
/// makes the next: the template says it as well.
fn pinned(picture: &Picture) -> Vec<Finding> {
    if !picture.has_read("Node") || picture.nodes.is_empty() {
        return Vec::new();
    }
    let is_there = |name: &str| picture.nodes.iter().any(|node| node.metadata.name.as_deref() == Some(name));
    let mechanism =
        |name: &str| format!("its pods are bound to node {name} by nodeName, and there is no such node");
    let change = "no nodeName, or the name of a node that exists";
    let mut findings = Vec::new();
    for workload in workloads(picture).into_iter().filter(|workload| workload.replicas != Some(0)) {
        if let Some(name) =
            workload.spec.node_name.as_deref().filter(|name| !name.is_empty() && !is_there(name))
        {
            let object = &workload.object;
            let finding = Finding::new(
                Severity::Critical,
                Cause::NodeUnknown,
                object,
                mechanism(name),
                "list_resources kind=nodes",
                change,
            );
            let evidence = [Evidence::field(object, "spec.template.spec.nodeName", name)];
            findings.push(finding.shown_by(evidence).affecting(picture.made_by(object)));
        }
    }
    for subject in subjects(picture).filter(|subject| subject.owner == subject.this) {
        let name = subject.spec().and_then(|spec| spec.node_name.as_deref());
        let lost = name.filter(|name| !name.is_empty() && !is_there(name) && phase(subject.pod) == "Pending");
        if let Some(name) = lost.filter(|_| seconds_old(&subject.pod.metadata, picture.now) > TURN_SECONDS) {
            let finding = subject.finding(
                Severity::Critical,
                Cause::NodeUnknown,
                mechanism(name),
                "list_resources kind=nodes",
                change,
            );
            findings.push(finding.shown_by([subject.field("spec.nodeName", name)]));
        }
    }
    findings
}

/// Pods that were ended for others, whose next now wait for room.
fn preempted(picture: &Picture) -> Vec<Finding> {
    let mut findings = Vec::new();
    let events =
        picture.events.iter().filter(|event| event.reason == "Preempted" && event.object.kind == "Pod");
    for event in events {
        let stem = crate::tools::list_events::stem("Pod", &event.object.name);
        let waiting = subjects(picture).find(|subject| {
            is_unscheduled(subject.pod, picture.now)
                && subject.this.namespace == event.object.namespace
                && (subject.owner.name == stem || subject.owner.name == event.object.name)
        });
        let Some(waiting) = waiting else { continue };
        let priority = waiting.spec().and_then(|spec| spec.priority).unwrap_or(0);
        let mechanism = format!(
            "its pods (priority {priority}) were ended to make room for pods of a higher priority, and find no other place"
        );
        let change = format!(
            "{}: a higher one, a lower one for the others, or more room",
            waiting.path("priorityClassName")
        );
        let confirm = format!("list_events namespace={} (reason Preempted)", waiting.this.namespace);
        findings.push(
            waiting
                .finding(Severity::Critical, Cause::PodPreempted, mechanism, confirm, change)
                .shown_by([picture.event_evidence(event)])
                .shown_by(waiting.evidence(waiting.event(&["FailedScheduling"]))),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{PodSpec, Why, check, deciding, obstacles};
    use crate::tools::diagnose::checks::example::{findings, found};

    #[test]
    fn the_schedulers_words_are_understood() {
        for (message, why, nodes) in [
            (
                "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 x.",
                Why::Resources,
                1,
            ),
            (
                "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu.",
                Why::Resources,
                2,
            ),
            (
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
                Why::NodeSelector,
                1,
            ),
            (
                "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
                Why::AntiAffinity,
                1,
            ),
            (
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
                Why::HostPort,
                1,
            ),
            ("0/1 nodes are available: persistentvolumeclaim \"x\" not found.", Why::Claim, 1),
            ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", Why::Claim, 1),
            (
                "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label).",
                Why::Spread,
                1,
            ),
            ("0/1 nodes are available: 1 node(s) had volume node affinity conflict.", Why::VolumeAffinity, 1),
            (
                "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity.",
                Why::VolumeAffinity,
                1,
            ),
            (
                "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode.",
                Why::VolumeInUse,
                1,
            ),
            ("0/1 nodes are available: 1 node(s) were unschedulable.", Why::Unschedulable, 1),
        ] {
            let obstacles = obstacles(message);
            let worst = deciding(&obstacles, &PodSpec::default(), &[]);
            assert_eq!(worst.map(|worst| (worst.why, worst.nodes)), Some((why, nodes)), "{message}");
        }
    }

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
    fn a_node_or_a_scheduler_that_is_not_there() {
        let yaml = pod("nodeName: n9", "").replace("reason: FailedScheduling", "reason: Other");
        assert_eq!(found(check, &yaml), ["NodeUnknown Pod shop/p"]);
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
