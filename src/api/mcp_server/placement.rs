//! Where pods run and what is written on them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether pods of one server share a node.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum PodAntiAffinity {
    /// Only when no other node has room.
    Preferred,
    /// Never: a pod without a node of its own waits.
    Required,
}

/// What kind of server it is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum ServerType {
    /// Somebody else's service on the internet.
    ExternalSaas,
    /// A service of the cloud the cluster runs in.
    CloudService,
    /// A service of the own organisation.
    InternalApi,
}

impl ServerType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExternalSaas => "external-saas",
            Self::CloudService => "cloud-service",
            Self::InternalApi => "internal-api",
        }
    }
}
