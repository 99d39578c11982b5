//! Nodes that are down, run out of something, or are closed while pods wait.

use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod};

use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::{reference, seconds_old},
        picture::{Picture, Scope},
        pods::{self, is_unscheduled, is_unwell},
    },
    kinds::age,
};

/// A node that has just joined becomes ready in this time.
const JOINING_SECONDS: i64 = 30;
/// Of what, and what becomes of it.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "memory: the kubelet evicts pods and takes no new ones that request none"),
    ("DiskPressure", "disk: the kubelet evicts pods, removes images and takes no new pods"),
    ("PIDPressure", "process numbers: the kubelet evicts pods and takes no new ones"),
    ("NetworkUnavailable", "network: its routes are not set up, pods there reach nobody"),
];

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for node in &picture.nodes {
        let object = reference("Node", &node.metadata);
        // Another namespace's nodes are somebody else's question.
        if !concerns(picture, &object) {
            continue;
        }
        if let Some(finding) = not_ready(picture, node, &object) {
            findings.push(finding);
            continue;
        }
        findings
            .extend(PRESSURES.iter().filter_map(|(kind, what)| pressure(picture, node, &object, kind, what)));
        findings.extend(cordoned(picture, node, &object));
    }
}

fn concerns(picture: &Picture, node: &ObjectRef) -> bool {
    let is_ready = |node: &Node| condition(node, "Ready").is_some_and(|ready| ready.status == "True");
    let all_down = !picture.nodes.iter().any(is_ready);
    match &picture.scope {
        Scope::Cluster => true,
        Scope::Object(object) if object.kind == "Node" => object == node,
        // Pods that wait may be waiting for any node, but only when all are down is that why.
        Scope::Namespace(_) | Scope::Object(_) => picture.pods.iter().any(|pod| {
            let on = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
            on == Some(&node.name) || (is_unscheduled(pod, picture.now) && (all_down || closes(pod)))
        }),
    }
}

fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn words(condition: &NodeCondition) -> String {
    let (reason, message) = (condition.reason.as_deref(), condition.message.as_deref());
    [reason, message].into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

fn since(picture: &Picture, condition: &NodeCondition) -> String {
    let at = condition.last_transition_time.as_ref().map(|at| at.0);
    at.map_or_else(String::new, |at| format!(" for {}", age(Some(at), picture.now)))
}

/// Pods that are or were to be on it and are not well.
fn unwell_on(picture: &Picture, node: &ObjectRef) -> Vec<ObjectRef> {
    let on = picture.pods.iter().filter(|pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&node.name)
            && is_unwell(pod, picture.now)
    });
    on.map(|pod| reference("Pod", &pod.metadata)).collect()
}

fn not_ready(picture: &Picture, node: &Node, object: &ObjectRef) -> Option<Finding> {
    let ready = condition(node, "Ready")?;
    if ready.status == "True" || seconds_old(&node.metadata, picture.now) < JOINING_SECONDS {
        return None;
    }
    let why = words(ready);
    let silent = ready.status == "Unknown";
    let what =
        if silent { "does not answer: its kubelet has stopped telling how it is" } else { "is not ready" };
    let mechanism = format!("Node {} {what}{} ({why})", object.name, since(picture, ready));
    let confirm =
        format!("get_resource Node {}: conditions; list_events of Node {}", object.name, object.name);
    let change = if silent {
        "bring the machine or its kubelet back, or remove the node"
    } else {
        "mend what its kubelet says"
    };
    let finding = Finding::new(Severity::Critical, Cause::NodeNotReady, object, mechanism, confirm, change);
    let evidence =
        Evidence::field(object, "status.conditions[type=Ready]", format!("{} {why}", ready.status));
    Some(finding.shown_by([evidence]).affecting(unwell_on(picture, object)))
}

fn pressure(picture: &Picture, node: &Node, object: &ObjectRef, kind: &str, what: &str) -> Option<Finding> {
    let condition = condition(node, kind).filter(|condition| condition.status == "True")?;
    let mechanism = format!("Node {} is short of {what}{}", object.name, since(picture, condition));
    let confirm = format!("get_resource Node {}; list_events of Node {}", object.name, object.name);
    let change = "free it, or move what takes it elsewhere by requests and limits";
    let finding =
        Finding::new(Severity::Critical, Cause::NodeUnderPressure, object, mechanism, confirm, change);
    let evidence = Evidence::field(object, &format!("status.conditions[type={kind}]"), words(condition));
    Some(finding.shown_by([evidence]).affecting(unwell_on(picture, object)))
}

/// Only where pods wait that would have had a place: closing a node is what one does before work on it.
fn cordoned(picture: &Picture, node: &Node, object: &ObjectRef) -> Option<Finding> {
    if node.spec.as_ref()?.unschedulable != Some(true) {
        return None;
    }
    let waiting: Vec<ObjectRef> = picture
        .pods
        .iter()
        .filter(|pod| is_unscheduled(pod, picture.now) && closes(pod))
        .map(|pod| reference("Pod", &pod.metadata))
        .collect();
    let first = waiting.first()?;
    let more = waiting.len() - 1;
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let mechanism = format!(
        "Node {} is cordoned (closed to new pods), and {}{more} finds no other place",
        object.name,
        first.words()
    );
    let confirm = format!("what_changed: who cordoned Node {}", object.name);
    let change = "spec.unschedulable: false when the work on it is done (kubectl uncordon)";
    let finding =
        Finding::new(Severity::Critical, Cause::NodeUnschedulable, object, mechanism, confirm, change);
    Some(finding.shown_by([Evidence::field(object, "spec.unschedulable", "true")]).affecting(waiting))
}

/// The scheduler's only words against the nodes are that they are closed, or are the control plane's.
fn closes(pod: &Pod) -> bool {
    let message = pods::condition(pod, "PodScheduled").and_then(|condition| condition.message.as_deref());
    let message = message.unwrap_or_default();
    let reasons = message.split_once("nodes are available: ").map_or(message, |(_, reasons)| reasons);
    let reasons = reasons.split(" preemption:").next().unwrap_or_default();
    let mut reasons =
        reasons.split(", ").filter(|reason| !reason.contains("node-role.kubernetes.io")).peekable();
    reasons.peek().is_some() && reasons.all(|reason| reason.contains("unschedulable"))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const NONE: [&str; 0] = [];

    fn node(spec: &str, conditions: &str) -> String {
        format!(
            "
kind: Node
metadata: {{ name: n1 }}
spec: {spec}
status: {{ conditions: [{conditions}] }}
---
kind: Pod
metadata: {{ name: web-1 }}
spec: {{ nodeName: n1, containers: [] }}
status: {{ phase: Running, conditions: [{{ type: Ready, status: 'False' }}] }}
---
"
        )
    }

    const READY: &str = "{ type: Ready, status: 'True' }";

    #[test]
    fn a_node_that_is_down_or_short_of_something() {
        let down = node(
            "{}",
            "{ type: Ready, status: Unknown, reason: NodeStatusUnknown, message: Kubelet stopped, lastTransitionTime: '2026-01-01T11:50:00Z' }",
        );
        let all = findings(check, &down);
        assert_eq!(
            all[0].mechanism,
            "Node n1 does not answer: its kubelet has stopped telling how it is for 10m (NodeStatusUnknown: Kubelet stopped)"
        );
        assert_eq!(all[0].affects[0].words(), "Pod shop/web-1");
        let disk = node("{}", &format!("{READY}, {{ type: DiskPressure, status: 'True' }}"));
        assert_eq!(found(check, &disk), ["NodeUnderPressure Node n1"]);
        assert_eq!(found(check, &node("{}", READY)), NONE);
        // Nothing of this namespace is on it.
        assert_eq!(found(check, &down.replace("nodeName: n1", "nodeName: n2")), NONE);
    }

    #[test]
    fn a_closed_node_matters_to_those_who_wait() {
        let closed = node("{ unschedulable: true }", READY);
        assert_eq!(found(check, &closed), NONE);
        let waiting = "kind: Pod\nmetadata: { name: web-2 }\nspec: { containers: [] }\nstatus: { phase: Pending, conditions: [{ type: PodScheduled, status: 'False', message: '0/1 nodes are available: 1 node(s) were unschedulable.' }] }";
        assert_eq!(found(check, &(closed.clone() + waiting)), ["NodeUnschedulable Node n1"]);
        let otherwise = waiting.replace("were unschedulable", "had too little cpu");
        assert_eq!(found(check, &(closed + &otherwise)), NONE);
    }
}
