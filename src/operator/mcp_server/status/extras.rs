//! What is known of what a server has besides its pods.

use std::collections::BTreeSet;

use kube::core::DynamicObject;

use crate::operator::{
    field_error::FieldError,
    kind::Kind,
    mcp_server::{
        apply::Applied,
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
