//! The conditions that an MCPServer has already.

use crate::{
    api::{MCPServerStatus, mcp_server::ConditionType},
    operator::conditions,
};

pub(super) use crate::operator::conditions::{Holds, merge};

/// A condition of an MCPServer without its time.
pub(super) type Finding = conditions::Finding<ConditionType>;

pub(super) fn holds(status: &MCPServerStatus, type_: ConditionType) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == type_.as_str() && condition.status == "True")
}

/// What a status says already.
pub(super) fn found(status: &MCPServerStatus, type_: ConditionType) -> Option<Finding> {
    conditions::found(&status.conditions, type_)
}

/// What is told without its cause keeps the one that was told before, as long as it is the same trouble: some
/// kubelets name a cause only at each try. `unknown` is what a message ends in that has none.
pub(super) fn with_known_cause(before: &MCPServerStatus, finding: Finding, unknown: &str) -> Finding {
    let earlier = found(before, finding.type_).filter(|earlier| {
        let is_same = (earlier.holds, &earlier.reason) == (finding.holds, &finding.reason);
        let told = finding.message.trim_end_matches('.').strip_suffix(unknown);
        is_same && told.is_some_and(|told| earlier.message.starts_with(told))
    });
    earlier.unwrap_or(finding)
}
