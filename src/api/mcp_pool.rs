//! `MCPPool`: MCPServers that appear as one.

// KubeSchema writes a copy of each struct inside a function and calls it `pub`.
#![allow(unreachable_pub)]

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{embedded, mcp_server::GatewaySpec};

/// Which MCPServers of the namespace are its members, and how they appear together.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "pilothouse.dev",
    version = "v1alpha1",
    kind = "MCPPool",
    plural = "mcppools",
    singular = "mcppool",
    shortname = "phpool",
    category = "pilothouse",
    namespaced,
    status = "MCPPoolStatus",
    derive = "PartialEq",
    doc = "MCPServers of one namespace that offer the same tools and appear to clients as one server. A call goes to the least busy pod of all of them; a session stays on its pod.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyMembers"),
    printcolumn(name = "Members", type_ = "integer", json_path = ".status.memberCount"),
    printcolumn(name = "Tools", type_ = "integer", json_path = ".status.toolCount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(
        "(has(self.spec.selector.matchLabels) && size(self.spec.selector.matchLabels) > 0) || (has(self.spec.selector.matchExpressions) && size(self.spec.selector.matchExpressions) > 0)"
    )
    .message("spec.selector selects every MCPServer of the namespace: name a label in matchLabels, such as pool: search"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')")
        .message("metadata.name must be a lowercase letter followed by at most 62 lowercase letters, digits or dashes, since its tools are named after it: rename the MCPPool"),
)]
#[serde(rename_all = "camelCase")]
pub struct MCPPoolSpec {
    /// Labels of the MCPServers that are its members. One that several pools select belongs to the oldest.
    #[schemars(schema_with = "embedded::brief::<LabelSelector>")]
    pub selector: LabelSelector,

    /// How their tools appear together. A member's own settings hold where it sets them and where they concern
    /// its pods: `hostHeader` and `stateless`.
    #[serde(default)]
    pub gateway: GatewaySpec,
}

/// What the operator found.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MCPPoolStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The whole in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<PoolPhase>,

    /// Its members, sorted by name, at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "atomic"))]
    pub members: Vec<PoolMember>,

    /// Number of members, those past the 200 included.
    #[serde(default)]
    pub member_count: i32,

    /// Number of members that answer.
    #[serde(default)]
    pub ready_members: i32,

    /// Number of tools they offer together.
    #[serde(default)]
    pub tool_count: i32,

    /// The SHA-256 of the definition of each tool as it was when the pool first offered it, or as it was approved
    /// since, by the members' own name; at most 1,000.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1000))]
    pub pins: BTreeMap<String, String>,

    /// Accepted: the spec can be acted on. Available: a member answers. Registered: its tools are offered to
    /// clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A member of the pool.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct PoolMember {
    /// Name of the MCPServer.
    pub name: String,

    /// It answers and offers its tools.
    pub ready: bool,
}

/// The whole in one word.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolPhase {
    /// It has no member yet, or none has answered yet.
    Pending,
    /// Every member answers.
    Ready,
    /// Some members do not answer.
    Degraded,
    /// No member answers, or the spec cannot be acted on; the conditions say which.
    Failed,
}

impl PoolPhase {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Ready, Self::Degraded, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Ready => "Ready",
            Self::Degraded => "Degraded",
            Self::Failed => "Failed",
        }
    }
}

/// The conditions an MCPPool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolCondition {
    Accepted,
    Available,
    Registered,
}

impl PoolCondition {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Available => "Available",
            Self::Registered => "Registered",
        }
    }
}

impl fmt::Display for PoolCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
