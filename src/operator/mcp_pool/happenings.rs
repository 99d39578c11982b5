//! What is worth an event: a status as it was and as it will be, compared. Needs no client.

use std::collections::BTreeSet;

use crate::{
    api::{MCPPoolStatus, mcp_pool::PoolPhase},
    operator::events::Happening,
};

/// Reasons on the way to what is declared, or of which another condition says more.
const ROUTINE: [&str; 3] = ["NotAccepted", "NotAvailable", "MembersReady"];

/// In the order in which they belong; empty when nothing that matters changed.
pub(super) fn happenings(before: Option<&MCPPoolStatus>, after: &MCPPoolStatus) -> Vec<Happening> {
    let mut told: Vec<Happening> = moved(before, after).into_iter().collect();
    let starts = after.phase == Some(PoolPhase::Pending);
    let trouble = after.conditions.iter().filter(|condition| {
        let is_bad = condition.status == "False" || condition.reason == "MembersMissing";
        let is_routine =
            ROUTINE.contains(&condition.reason.as_str()) || starts && condition.reason == "NoMemberReady";
        let mut earlier = before.iter().flat_map(|before| &before.conditions);
        let is_known = earlier.any(|one| one.type_ == condition.type_ && one.reason == condition.reason);
        is_bad && !is_routine && !is_known
    });
    told.extend(trouble.map(|one| Happening::warning(&one.reason, one.message.clone())));
    let is_new_phase = before.and_then(|before| before.phase) != after.phase;
    if after.phase == Some(PoolPhase::Ready) && is_new_phase {
        let MCPPoolStatus { member_count, tool_count, .. } = after;
        let note = format!("All {member_count} members answer, {tool_count} tools are offered.");
        told.push(Happening::normal("Ready", note));
    }
    told
}

/// Members that came and went.
fn moved(before: Option<&MCPPoolStatus>, after: &MCPPoolStatus) -> Option<Happening> {
    let names = |status: &MCPPoolStatus| -> BTreeSet<String> {
        status.members.iter().map(|member| member.name.clone()).collect()
    };
    let (before, after) = (before.map(names).unwrap_or_default(), names(after));
    let listed = |names: BTreeSet<&String>, what: &str| -> Option<String> {
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{} {what}.", names.join(", ")))
    };
    let joined = listed(after.difference(&before).collect(), "joined");
    let left = listed(before.difference(&after).collect(), "left");
    let note: Vec<String> = joined.into_iter().chain(left).collect();
    (!note.is_empty()).then(|| Happening::normal("MembersChanged", note.join(" ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::happenings;
    use crate::api::MCPPoolStatus;

    /// Each condition is `type status reason`.
    fn status(phase: &str, members: &[&str], conditions: &[&str]) -> MCPPoolStatus {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|condition| {
                let words: Vec<&str> = condition.split(' ').collect();
                json!({"type": words[0], "status": words[1], "reason": words[2], "message": "so it is",
                    "lastTransitionTime": "2026-11-21T12:00:00Z"})
            })
            .collect();
        let members: Vec<_> = members.iter().map(|name| json!({ "name": name, "ready": true })).collect();
        serde_json::from_value(json!({ "phase": phase, "members": members, "memberCount": members.len(),
            "toolCount": 2, "conditions": conditions }))
        .unwrap()
    }

    fn told(before: Option<&MCPPoolStatus>, after: &MCPPoolStatus) -> Vec<String> {
        happenings(before, after)
            .into_iter()
            .map(|told| format!("{:?} {}: {}", told.weight, told.reason, told.note))
            .collect()
    }

    #[test]
    fn members_that_come_and_go_are_told_and_being_ready_is() {
        let one = status("Ready", &["a", "b"], &["Available True MembersReady"]);
        let said = [
            "Normal MembersChanged: a, b joined.",
            "Normal Ready: All 2 members answer, 2 tools are offered.",
        ];
        assert_eq!(told(None, &one), said);
        assert!(told(Some(&one), &one).is_empty());
        let other = status("Ready", &["b", "c"], &["Available True MembersReady"]);
        assert_eq!(told(Some(&one), &other), ["Normal MembersChanged: c joined. a left."]);
    }

    #[test]
    fn trouble_is_told_once() {
        let ready = status("Ready", &["a"], &["Available True MembersReady", "Registered True Registered"]);
        let missing =
            status("Degraded", &["a"], &["Available True MembersMissing", "Registered True Registered"]);
        assert_eq!(told(Some(&ready), &missing), ["Warning MembersMissing: so it is"]);
        assert!(told(Some(&missing), &missing).is_empty());
        let starting =
            status("Pending", &["a"], &["Available False NoMemberReady", "Registered False NotAvailable"]);
        assert_eq!(told(None, &starting), ["Normal MembersChanged: a joined."]);
    }
}
