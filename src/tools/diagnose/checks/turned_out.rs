//! Pods that lose their place without the scheduler: bound by name to a node that refuses them or is not there, or
//! ended for pods of a higher priority.

use super::{
    placement::{host_ports, wishes},
    subject::{Subject, subjects},
};
use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, Severity},
        look::seconds_old,
        owning::workloads,
        picture::Picture,
        pods::{RECENT_SECONDS, TURN_SECONDS, is_ready, is_unscheduled, phase},
    },
    list_events::stem,
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        findings.extend(refused_by_node(&subject));
    }
    findings.extend(pinned(picture));
    findings.extend(preempted(picture));
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
        let stem = stem("Pod", &event.object.name);
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
    use super::check;
    use crate::tools::diagnose::checks::example::found;

    #[test]
    fn a_node_that_is_not_there() {
        let yaml = r#"
kind: Pod
metadata: { name: p }
spec: { nodeName: n9, containers: [] }
status: { phase: Pending }
---
kind: Node
metadata: { name: n1 }
"#;
        assert_eq!(found(check, yaml), ["NodeUnknown Pod shop/p"]);
        assert!(found(check, &yaml.replace("n9", "n1")).is_empty());
    }
}
