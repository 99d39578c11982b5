//! Which pods wait before the gate, and which of them pass. Pure.

use std::fmt;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::VERIFIED;
use crate::{
    fleet::{Breach, ToolDefinition, breaches},
    operator::events::Happening,
};

/// Breaches that are named; the others are counted.
const NAMED: usize = 5;

/// A pod whose containers are ready and that the gate holds back.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) pod: &'a Pod,
    pub(super) uid: String,
    /// The hash of its template: pods of one revision have the same.
    pub(super) revision: String,
}

/// What is found of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// With what breaks all the same, where that is allowed.
    Passes { allowed: Vec<Breach> },
    /// Callers of the revision that serves would break.
    Breaks(Vec<Breach>),
    /// It does not answer as an MCP server: why.
    Silent(String),
}

/// A revision that is held back, for the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator::mcp_server) struct Held {
    pub(in crate::operator::mcp_server) reason: &'static str,
    pub(in crate::operator::mcp_server) message: String,
}

/// Those the gate has to look at, in the order of their names.
pub(super) fn waiting(pods: &[Pod]) -> Vec<Candidate<'_>> {
    let mut found: Vec<_> = pods
        .iter()
        .filter(|pod| {
            pod.metadata.deletion_timestamp.is_none()
                && is_gated(pod)
                && holds(pod, "ContainersReady")
                && !holds(pod, VERIFIED)
        })
        .map(|pod| Candidate { pod, uid: pod.uid().unwrap_or_default(), revision: revision(pod) })
        .collect();
    found.sort_by_key(|candidate| candidate.pod.name_any());
    found
}

/// A ready pod of another revision than the candidate's.
pub(super) fn serving_pod<'a>(pods: &'a [Pod], candidate: &Candidate<'_>) -> Option<&'a Pod> {
    pods.iter().find(|pod| {
        pod.metadata.deletion_timestamp.is_none()
            && holds(pod, "Ready")
            && revision(pod) != candidate.revision
    })
}

/// `relied_on` is what callers know; empty, nobody can break.
pub(super) fn judge(
    relied_on: &[ToolDefinition],
    offered: &[ToolDefinition],
    allow_breaking: bool,
) -> Verdict {
    let found = breaches(relied_on, offered);
    if found.is_empty() || allow_breaking {
        Verdict::Passes { allowed: found }
    } else {
        Verdict::Breaks(found)
    }
}

impl Verdict {
    /// What is told of a pod that passes although callers break; the condition says the rest.
    pub(super) fn allowed(&self, candidate: &Candidate<'_>) -> Option<Happening> {
        let Self::Passes { allowed } = self else { return None };
        let note = format!("Revision {} breaks callers and passes: {}.", candidate.revision, listed(allowed));
        (!allowed.is_empty()).then(|| Happening::warning("BreakingChangeAllowed", note))
    }
}

/// For the pod's condition.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passes { allowed } if allowed.is_empty() => {
                f.write_str("It speaks MCP and breaks no caller.")
            }
            Self::Passes { allowed } => write!(f, "It speaks MCP; allowed to break: {}.", listed(allowed)),
            Self::Breaks(found) => write!(f, "It breaks callers: {}.", listed(found)),
            Self::Silent(why) => write!(f, "It does not answer as an MCP server: {why}."),
        }
    }
}

impl Held {
    pub(super) fn of(candidate: &Candidate<'_>, verdict: &Verdict) -> Option<Self> {
        let revision = &candidate.revision;
        match verdict {
            Verdict::Passes { .. } => None,
            Verdict::Breaks(found) => Some(Self {
                reason: "BreakingChange",
                message: format!(
                    "Revision {revision} is held back, since it would break callers: {}. Correct the server, or set spec.rollout.allowBreaking to let it pass.",
                    listed(found)
                ),
            }),
            Verdict::Silent(why) => Some(Self {
                reason: "NoHandshake",
                message: format!(
                    "Revision {revision} is held back, since it does not answer as an MCP server: {why}. Look at the logs of its pods."
                ),
            }),
        }
    }
}

fn listed(found: &[Breach]) -> String {
    let named: Vec<String> = found.iter().take(NAMED).map(ToString::to_string).collect();
    match found.len().saturating_sub(NAMED) {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_ref());
    gates.into_iter().flatten().any(|gate| gate.condition_type == VERIFIED)
}

fn holds(pod: &Pod, condition: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|one| one.type_ == condition && one.status == "True")
}

fn revision(pod: &Pod) -> String {
    pod.labels().get("pod-template-hash").cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json, value::RawValue};

    use super::{Held, Verdict, judge, serving_pod, waiting};
    use crate::fleet::ToolDefinition;

    fn pod(name: &str, revision: &str, conditions: &[&str]) -> Pod {
        let conditions: Vec<Value> =
            conditions.iter().map(|type_| json!({ "type": type_, "status": "True" })).collect();
        serde_json::from_value(json!({
            "metadata": { "name": name, "uid": name, "labels": { "pod-template-hash": revision } },
            "spec": { "containers": [], "readinessGates": [{ "conditionType": "pilothouse.dev/verified" }] },
            "status": { "conditions": conditions },
        }))
        .unwrap()
    }

    fn tool(name: &str, schema: &str) -> ToolDefinition {
        let text = format!(r#"{{"name":"{name}","inputSchema":{schema}}}"#);
        ToolDefinition { name: name.to_owned(), raw: RawValue::from_string(text).unwrap() }
    }

    #[test]
    fn only_a_pod_whose_containers_are_ready_and_that_was_not_let_pass_waits() {
        let mut ungated = pod("ungated", "b", &["ContainersReady"]);
        ungated.spec.as_mut().unwrap().readiness_gates = None;
        let mut leaving = pod("leaving", "b", &["ContainersReady"]);
        leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let pods = [
            pod("starting", "b", &[]),
            pod("waits", "b", &["ContainersReady"]),
            pod("passed", "a", &["ContainersReady", "pilothouse.dev/verified", "Ready"]),
            ungated,
            leaving,
        ];
        let found = waiting(&pods);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].uid.as_str(), found[0].revision.as_str()), ("waits", "b"));
        assert_eq!(serving_pod(&pods, &found[0]).unwrap().metadata.name.as_deref(), Some("passed"));
        let same = [pod("waits", "b", &["ContainersReady"]), pod("old", "b", &["Ready"])];
        assert!(serving_pod(&same, &waiting(&same)[0]).is_none(), "it is of the same revision");
    }

    #[test]
    fn what_breaks_callers_is_held_and_may_be_allowed() {
        let relied_on = [tool("a", "{}"), tool("b", "{}")];
        let offered = [tool("a", r#"{"required":["x"]}"#), tool("c", "{}")];
        let Verdict::Breaks(found) = judge(&relied_on, &offered, false) else { panic!() };
        assert_eq!(found.len(), 2);
        let pods = [pod("p", "7f9c", &["ContainersReady"])];
        let candidate = &waiting(&pods)[0];
        let held = Held::of(candidate, &Verdict::Breaks(found)).unwrap();
        assert_eq!(held.reason, "BreakingChange");
        assert!(
            held.message.contains("Revision 7f9c")
                && held.message.contains("tool a: x is required now; tool b is missing")
                && held.message.contains("spec.rollout.allowBreaking"),
            "{}",
            held.message
        );
        let allowed = judge(&relied_on, &offered, true);
        assert_eq!(Held::of(candidate, &allowed), None);
        assert!(allowed.allowed(candidate).is_some());
    }

    #[test]
    fn nothing_to_rely_on_and_additions_break_nobody() {
        let passes = Verdict::Passes { allowed: vec![] };
        assert_eq!(judge(&[], &[tool("a", "{}")], false), passes);
        assert_eq!(judge(&[tool("a", "{}")], &[tool("a", "{}"), tool("b", "{}")], false), passes);
    }
}
