//! The conditions that speak of what a server has besides its pods: only of what is declared.

use super::{
    Situation,
    conditions::{Finding, Holds, found},
    extras::Extras,
    monitor,
    secrets::{not_readable, synced},
    sources,
};
use crate::{
    api::{
        MCPServerStatus,
        mcp_server::{ConditionType, ConnectedSource},
    },
    operator::field_error::{Problem, listed},
};

const AUTOSCALER_CONFLICT: &str = "AutoscalerConflict";

pub(super) fn findings(situation: &Situation<'_>) -> Vec<Finding> {
    let Situation::Workload { extras, .. } = situation else { return Vec::new() };
    let of_secrets = [synced(extras), not_readable(extras)];
    let of_others = [monitor::ready(extras), sources::connected(extras), obstructed(extras)];
    of_secrets.into_iter().chain(of_others).flatten().collect()
}

/// Whether something stands in its way, in the words of the webhook.
fn obstructed(extras: &Extras) -> Option<Finding> {
    let first = extras.obstacles.first()?;
    let reason = match first.problem {
        Problem::NotFound(_) => "ReferenceMissing",
        _ => AUTOSCALER_CONFLICT,
    };
    Some(Finding {
        type_: ConditionType::Obstructed,
        holds: Holds::Yes,
        reason: reason.to_owned(),
        message: listed(&extras.obstacles),
    })
}

/// Whether an autoscaler of somebody else was in its way when it was last looked at.
pub(in crate::operator::mcp_server) fn was_scaled(status: &MCPServerStatus) -> bool {
    found(status, ConditionType::Obstructed).is_some_and(|found| found.reason == AUTOSCALER_CONFLICT)
}

/// What the status lists. What could not be acted on leaves it as it was.
pub(super) fn connected_sources(
    situation: &Situation<'_>,
    before: Vec<ConnectedSource>,
) -> Vec<ConnectedSource> {
    match situation {
        Situation::Workload { extras, .. } => {
            extras.sources.as_ref().map(|sources| sources.connected.listed.clone()).unwrap_or_default()
        }
        Situation::Remote { .. } => Vec::new(),
        Situation::Invalid(_)
        | Situation::PolicyViolated(_)
        | Situation::Refused(_)
        | Situation::NamesTaken(_) => before,
    }
}
