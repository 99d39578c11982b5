//! What is worth an event: a status as it was and as it will be, compared. Needs no client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    api::{
        MCPServerStatus,
        mcp_server::{ConditionType, Phase},
    },
    operator::events::Happening,
};

/// These conditions are bad while they hold.
const BAD_WHEN_TRUE: [ConditionType; 5] = [
    ConditionType::SecretsNotReadable,
    ConditionType::RolloutHeld,
    ConditionType::Obstructed,
    ConditionType::ToolsChanged,
    ConditionType::ToolsQuarantined,
];

/// Reasons on the way to what is declared: nobody has to do anything, or another condition says what.
const ROUTINE: [&str; 12] = [
    "Asleep",
    "PodsReady",
    "Progressing",
    "Stopped",
    "Remote",
    "Waiting",
    "NotAccepted",
    "EarlierSpec",
    "NotVerified",
    "Connecting",
    "NotReady",
    "Registering",
];

/// In the order in which they belong; empty when nothing that matters changed.
pub(in crate::operator::mcp_server) fn happenings(
    before: Option<&MCPServerStatus>,
    after: &MCPServerStatus,
) -> Vec<Happening> {
    let of_conditions = after.conditions.iter().filter(|condition| is_trouble(condition));
    let new = of_conditions.filter(|condition| {
        let earlier = before.iter().flat_map(|before| &before.conditions);
        let mut same_type = earlier.filter(|earlier| earlier.type_ == condition.type_);
        // The message may count pods; the reason alone makes it another trouble.
        !same_type.any(|earlier| earlier.status == condition.status && earlier.reason == condition.reason)
    });
    let mut told: Vec<Happening> =
        new.map(|condition| Happening::warning(&condition.reason, condition.message.clone())).collect();
    let phase_before = before.and_then(|before| before.phase);
    if let Some(phase) = after.phase.filter(|phase| Some(*phase) != phase_before) {
        told.extend(of_phase(phase, after));
    }
    told
}

fn is_trouble(condition: &Condition) -> bool {
    let is = |type_: ConditionType| condition.type_ == type_.as_str();
    if BAD_WHEN_TRUE.into_iter().any(is) {
        return condition.status == "True";
    }
    // A rollout may be stuck while the pods before it serve: then Available holds, with the reason.
    let may_be = condition.status == "False" || is(ConditionType::Available);
    may_be && !ROUTINE.contains(&condition.reason.as_str())
}

fn of_phase(phase: Phase, status: &MCPServerStatus) -> Option<Happening> {
    match phase {
        Phase::Ready => {
            let tools = match status.tool_count {
                1 => "1 tool".to_owned(),
                count => format!("{count} tools"),
            };
            Some(Happening::normal("Ready", format!("The server answers and offers {tools}.")))
        }
        Phase::Stopped => Some(Happening::normal("Stopped", "No pod is wanted: nothing runs.".to_owned())),
        // The conditions say it.
        Phase::Pending | Phase::Deploying | Phase::Degraded | Phase::Failed => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::happenings;
    use crate::api::MCPServerStatus;

    /// Each condition is `type status reason`.
    fn status(phase: &str, conditions: &[&str]) -> MCPServerStatus {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|condition| {
                let mut words = condition.split(' ');
                let mut word = || words.next().unwrap();
                json!({"type": word(), "status": word(), "reason": word(), "message": "so it is",
                    "lastTransitionTime": "2026-11-21T12:00:00Z"})
            })
            .collect();
        serde_json::from_value(json!({"phase": phase, "toolCount": 2, "conditions": conditions})).unwrap()
    }

    fn told(before: Option<&MCPServerStatus>, after: &MCPServerStatus) -> Vec<String> {
        happenings(before, after)
            .into_iter()
            .map(|told| format!("{:?} {}", told.weight, told.reason))
            .collect()
    }

    #[test]
    fn starting_is_no_event_and_being_ready_is_one() {
        let start = status(
            "Deploying",
            &[
                "Accepted True Valid",
                "Available False Progressing",
                "Verified Unknown NotTried",
                "Registered False NotVerified",
            ],
        );
        assert!(told(None, &start).is_empty());
        let ready = status(
            "Ready",
            &[
                "Accepted True Valid",
                "Available True PodsReady",
                "Verified True HandshakeSucceeded",
                "Registered True Registered",
            ],
        );
        assert_eq!(told(Some(&start), &ready), ["Normal Ready"]);
        assert!(told(Some(&ready), &ready).is_empty(), "what stays is not told");
    }

    #[test]
    fn trouble_is_told_when_it_comes_and_when_it_turns_into_another() {
        let start = status("Deploying", &["Available False Progressing"]);
        let pull = status("Failed", &["Available False ImagePullFailed"]);
        let exits = status("Failed", &["Available False ContainerExits"]);
        assert_eq!(told(Some(&start), &pull), ["Warning ImagePullFailed"]);
        assert!(told(Some(&pull), &pull).is_empty());
        assert_eq!(told(Some(&pull), &exits), ["Warning ContainerExits"]);
        let rollout = status("Degraded", &["Available True ImagePullFailed"]);
        assert_eq!(told(Some(&start), &rollout), ["Warning ImagePullFailed"]);
    }

    #[test]
    fn conditions_that_are_bad_when_they_hold_are_told_then() {
        let held = status("Ready", &["RolloutHeld True ToolMissing", "SecretsSynced False StoreMissing"]);
        let free = status("Ready", &["RolloutHeld False Passed", "SecretsSynced True Synced"]);
        assert_eq!(told(Some(&free), &held), ["Warning ToolMissing", "Warning StoreMissing"]);
        assert!(told(Some(&held), &free).is_empty());
    }

    #[test]
    fn stopping_is_told() {
        let ready = status("Ready", &["Available True PodsReady"]);
        let stopped = status("Stopped", &["Available False Stopped"]);
        assert_eq!(told(Some(&ready), &stopped), ["Normal Stopped"]);
    }
}
