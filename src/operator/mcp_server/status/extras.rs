//! What a server has besides its pods, and the conditions that speak of it: only of what is declared.

use std::collections::BTreeSet;

use kube::core::DynamicObject;

use super::{
    Situation,
    conditions::{Finding, Holds, found},
    monitor,
    secrets::{not_readable, synced},
    sources,
};
use crate::{
    api::{
        MCPServerStatus,
        mcp_server::{ConditionType, ConnectedSource},
    },
    operator::{
        field_error::{FieldError, Problem, listed},
        kind::Kind,
        mcp_server::{
            apply::Applied,
            referred::Looks,
            sources::Sources,
            validate::{SecretUse, Workload},
        },
    },
};

const AUTOSCALER_CONFLICT: &str = "AutoscalerConflict";

#[derive(Debug, Default)]
pub(in crate::operator::mcp_server) struct Extras {
    /// Secrets whose changes are not seen.
    pub(super) hidden: Vec<String>,
    /// Secrets whose changes are seen.
    pub(super) readable: usize,
    pub(super) external_secrets_declared: bool,
    pub(super) external_secrets: Vec<DynamicObject>,
    pub(super) monitor_declared: bool,
    pub(super) sources: Option<Sources>,
    /// Kinds that the cluster does not have.
    pub(super) missing: BTreeSet<Kind>,
    /// What stands in its way and is not ours.
    pub(super) obstacles: Vec<FieldError>,
}

impl Extras {
    pub(in crate::operator::mcp_server) fn of(
        workload: &Workload,
        looks: &Looks,
        applied: &Applied,
        sources: Option<Sources>,
        obstacles: Vec<FieldError>,
    ) -> Self {
        Self {
            hidden: looks.hidden.clone(),
            readable: looks.readable,
            external_secrets_declared: workload.secrets.iter().any(SecretUse::is_external),
            external_secrets: applied.external_secrets.clone(),
            monitor_declared: workload.metrics.as_ref().is_some_and(|metrics| metrics.monitor.is_some()),
            sources,
            missing: applied.missing.clone(),
            obstacles,
        }
    }
}

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
