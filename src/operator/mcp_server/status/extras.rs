//! What a server has besides its pods, and the conditions that speak of it: only of what is declared.

use std::collections::BTreeSet;

use kube::core::DynamicObject;

use super::{
    Situation,
    conditions::Finding,
    monitor,
    secrets::{not_readable, synced},
    sources,
};
use crate::{
    api::mcp_server::ConnectedSource,
    operator::mcp_server::{
        apply::Applied,
        kind::Kind,
        referred::Looks,
        sources::Sources,
        validate::{SecretUse, Workload},
    },
};

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
}

impl Extras {
    pub(in crate::operator::mcp_server) fn of(
        workload: &Workload,
        looks: &Looks,
        applied: &Applied,
        sources: Option<Sources>,
    ) -> Self {
        Self {
            hidden: looks.hidden.clone(),
            readable: looks.readable,
            external_secrets_declared: workload.secrets.iter().any(SecretUse::is_external),
            external_secrets: applied.external_secrets.clone(),
            monitor_declared: workload.metrics.as_ref().is_some_and(|metrics| metrics.monitor.is_some()),
            sources,
            missing: applied.missing.clone(),
        }
    }
}

pub(super) fn findings(situation: &Situation<'_>) -> Vec<Finding> {
    let Situation::Workload { extras, .. } = situation else { return Vec::new() };
    let all = [synced(extras), not_readable(extras), monitor::ready(extras), sources::connected(extras)];
    all.into_iter().flatten().collect()
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
        Situation::Invalid(_) | Situation::Refused(_) | Situation::NamesTaken(_) => before,
    }
}
