//! Where pods run, what is written on them, as whom they run, and when they count as ready.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use serde::Serialize;

use super::InvalidSpec;
use crate::api::{
    MCPServerSpec,
    mcp_server::{PodAntiAffinity, Probes, Security, ServiceAccountSpec},
};

/// Where pods run. Says nothing by default, so that nothing is hashed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::operator::mcp_server) struct Placement {
    pub node_selector: BTreeMap<String, String>,
    pub tolerations: Vec<Toleration>,
    pub affinity: Option<Affinity>,
    pub apart: Option<PodAntiAffinity>,
    pub spread: Vec<TopologySpreadConstraint>,
}

impl Placement {
    pub(super) fn of(spec: &MCPServerSpec) -> Self {
        Self {
            node_selector: spec.node_selector.clone(),
            tolerations: spec.tolerations.clone(),
            affinity: spec.affinity.clone(),
            apart: spec.pod_anti_affinity,
            spread: spec.topology_spread_constraints.clone(),
        }
    }
}

/// What people write on the pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::operator::mcp_server) struct Notes {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// The account of the pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::operator::mcp_server) enum Account {
    /// Made for the server.
    Own {
        /// No pod changes with them.
        #[serde(skip)]
        annotations: BTreeMap<String, String>,
    },
    /// One that exists.
    Named(String),
    /// The namespace's `default`.
    Default,
}

impl Account {
    pub(super) fn of(spec: &ServiceAccountSpec) -> Result<Self, InvalidSpec> {
        let ServiceAccountSpec { name, create, annotations } = spec;
        match (name, create) {
            (Some(_), Some(true)) => Err(InvalidSpec::Account),
            (Some(_), _) | (None, Some(false)) if !annotations.is_empty() => Err(InvalidSpec::Account),
            (Some(name), _) => Ok(Self::Named(name.clone())),
            (None, Some(false)) => Ok(Self::Default),
            (None, _) => Ok(Self::Own { annotations: annotations.clone() }),
        }
    }

    /// As a server has it that says nothing: it must leave no trace in the hash.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own { .. })
    }
}

pub(super) fn is_restricted(security: &Security) -> bool {
    *security == Security::default()
}

pub(super) fn are_usual(probes: &Probes) -> bool {
    *probes == Probes::default()
}

/// The ports of probes are ports.
pub(super) fn checked(probes: &Probes) -> Result<Probes, InvalidSpec> {
    let Probes { startup, readiness, liveness } = probes;
    for (field, probe) in [
        ("spec.probes.startup.port", startup),
        ("spec.probes.readiness.port", readiness),
        ("spec.probes.liveness.port", liveness),
    ] {
        if let Some(port) = probe.port {
            super::port(field, port)?;
        }
    }
    Ok(probes.clone())
}
