//! Conditions from findings: a transition time moves only when the condition's status does.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use crate::{
    api::{MCPServerStatus, mcp_server::ConditionType},
    redact,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    Unknown,
}

impl Holds {
    fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "True",
            Self::No => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) type_: ConditionType,
    pub(super) holds: Holds,
    /// One CamelCase word that stays the same.
    pub(super) reason: String,
    /// A sentence for people: what, where, what to do.
    pub(super) message: String,
}

pub(super) fn holds(status: &MCPServerStatus, type_: ConditionType) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == type_.as_str() && condition.status == "True")
}

/// What a status says already.
pub(super) fn found(status: &MCPServerStatus, type_: ConditionType) -> Option<Finding> {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_.as_str())?;
    let holds = match condition.status.as_str() {
        "True" => Holds::Yes,
        "False" => Holds::No,
        _ => Holds::Unknown,
    };
    Some(Finding { type_, holds, reason: condition.reason.clone(), message: condition.message.clone() })
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

pub(super) fn merge(
    before: &[Condition],
    findings: Vec<Finding>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    // Seconds are what the API server stores: with more, the next comparison would differ.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let dated = findings.into_iter().map(|finding| {
        let known = before.iter().find(|condition| {
            condition.type_ == finding.type_.as_str() && condition.status == finding.holds.as_str()
        });
        Condition {
            type_: finding.type_.to_string(),
            status: finding.holds.as_str().to_owned(),
            reason: finding.reason,
            // Part of it may be what a downstream or a container said.
            message: redact::shown(&finding.message),
            observed_generation: generation,
            last_transition_time: known.map_or(Time(now), |condition| condition.last_transition_time.clone()),
        }
    });
    dated.collect()
}
