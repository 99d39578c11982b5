//! Pods that their node has thrown out.

use super::subject::{Subject, subjects};
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Finding, Severity},
    picture::Picture,
    pods::{RECENT_SECONDS, is_ready, phase},
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        findings.extend(judge(&subject));
    }
}

fn judge(subject: &Subject<'_>) -> Option<Finding> {
    let status = subject.pod.status.as_ref().filter(|_| phase(subject.pod) == "Failed")?;
    let reason = status
        .reason
        .as_deref()
        .filter(|reason| ["Evicted", "NodeShutdown", "Terminated"].contains(reason))?;
    let picture = subject.picture;
    let at = subject
        .units()
        .into_iter()
        .filter_map(|unit| unit.last_end()?.finished_at.as_ref().map(|at| at.0))
        .max();
    let at = at.or_else(|| status.start_time.as_ref().map(|at| at.0));
    let is_recent = at.is_none_or(|at| picture.now.as_second() - at.as_second() < RECENT_SECONDS);
    let is_served = picture.pods_of(&subject.owner).any(is_ready);
    // Replaced, and long ago: the pod that is left over says nothing of now.
    if is_served && !is_recent {
        return None;
    }
    let message = status.message.as_deref().unwrap_or_default();
    let own_limit = message.contains("exceeds") && !message.contains("low on resource");
    let severity = if is_served { Severity::Warning } else { Severity::Critical };
    let (mechanism, change) = if own_limit {
        (
            format!("its pods use more than they may and are evicted: {message}"),
            format!(
                "{}: a larger limit, or write less",
                subject.path("containers[].resources.limits.ephemeral-storage")
            ),
        )
    } else {
        (
            format!("its pods were evicted by their node: {message}"),
            format!(
                "{}: requests as large as the use, or room on the node",
                subject.path("containers[].resources.requests")
            ),
        )
    };
    let evidence = [subject.field("status.reason", reason), subject.field("status.message", message)];
    let finding = subject.finding(severity, Cause::PodEvicted, mechanism, subject.get_call(), change);
    let node = subject.node().filter(|_| !own_limit);
    Some(finding.shown_by(evidence).shown_by(subject.evidence(subject.event(&["Evicted"]))).following(node))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::found;

    const EVICTED: &str = r#"
kind: Pod
metadata: { name: p }
spec: { containers: [{ name: main }] }
status:
  phase: Failed
  reason: Evicted
  startTime: "2026-01-01T11:30:00Z"
  message: "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi."
"#;

    #[test]
    fn an_eviction_is_told() {
        assert_eq!(found(check, EVICTED), ["PodEvicted Pod shop/p"]);
    }
}
