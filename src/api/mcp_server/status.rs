//! What the operator found, written only by the lease holder and only when it changed.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::data_source::DataSourcePhase;

/// What the operator found.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MCPServerStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The whole in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// Pods that exist.
    #[serde(default)]
    pub replicas: i32,

    /// Pods that are ready.
    #[serde(default)]
    pub ready_replicas: i32,

    /// Label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// Where it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,

    /// What the server said of itself in the last handshake that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerInfo>,

    /// Its tools as clients see them, sorted, at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "atomic"))]
    pub tools: Vec<ToolStatus>,

    /// Number of tools, those past the 200 included.
    #[serde(default)]
    pub tool_count: i32,

    /// The SHA-256 of the definition of each tool as it was when the server was registered, or as it was approved
    /// since, by the server's own name; at most 1,000.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1000))]
    pub pins: BTreeMap<String, String>,

    /// The DataSources it is connected to, sorted, at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "atomic"))]
    pub connected_sources: Vec<ConnectedSource>,

    /// Accepted: the spec can be acted on. Available: enough pods are ready. Verified: an MCP handshake
    /// succeeded. Registered: its tools are offered to clients. Where used: SecretsSynced, SecretsNotReadable,
    /// ServiceMonitorReady, DataSourcesConnected, RolloutHeld, LiteLLMRegistered, Obstructed, ToolsChanged,
    /// ToolsQuarantined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The whole in one word.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing runs yet.
    Pending,
    /// Pods are starting or being replaced, or the first handshake is under way.
    Deploying,
    /// Every pod is ready and the server answers.
    Ready,
    /// It runs in part, or it runs and does not answer.
    Degraded,
    /// It cannot run until somebody changes something; the conditions say what.
    Failed,
    /// `replicas` is 0.
    Stopped,
}

impl Phase {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Deploying, Self::Ready, Self::Degraded, Self::Failed, Self::Stopped];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Deploying => "Deploying",
            Self::Ready => "Ready",
            Self::Degraded => "Degraded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        }
    }
}

/// Where it answers.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// URL inside the cluster: the Service's, or `remote.url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,

    /// URL outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,

    /// URL of its Prometheus metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
}

/// What the server said of itself.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// Its own name.
    pub name: String,

    /// Its own version.
    pub version: String,

    /// The MCP revision spoken with it.
    pub protocol_version: String,
}

/// One tool as clients see it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ToolStatus {
    /// Its name, with prefix.
    pub name: String,

    /// 12 hex digits that change with its definition.
    pub hash: String,

    /// Estimated tokens of its definition.
    pub tokens: i64,
}

/// A DataSource that the server is connected to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct ConnectedSource {
    /// Its namespace.
    pub namespace: String,

    /// Its name.
    pub name: String,

    /// What its own check last found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DataSourcePhase>,
}

/// The conditions an MCPServer has. The first four always, the others where their feature is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    Accepted,
    Available,
    Verified,
    Registered,
    /// Every ExternalSecret has its value.
    SecretsSynced,
    /// True: changes of referenced Secrets are not seen, since `pilothouse-secrets` is not bound here.
    SecretsNotReadable,
    ServiceMonitorReady,
    /// Every selected DataSource may be used and is in the rendered template.
    DataSourcesConnected,
    /// True: `rollout.gate` holds a new revision back; the message is the difference.
    RolloutHeld,
    LiteLLMRegistered,
    /// True: what it needs does not exist, or somebody else moves what is its own; the message says what.
    Obstructed,
    /// True: tools are not defined as they were when the server was registered; the message is the difference.
    ToolsChanged,
    /// True: tools are not shown, since their definitions try to steer whoever reads them; the message says how.
    ToolsQuarantined,
}

impl ConditionType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Available => "Available",
            Self::Verified => "Verified",
            Self::Registered => "Registered",
            Self::SecretsSynced => "SecretsSynced",
            Self::SecretsNotReadable => "SecretsNotReadable",
            Self::ServiceMonitorReady => "ServiceMonitorReady",
            Self::DataSourcesConnected => "DataSourcesConnected",
            Self::RolloutHeld => "RolloutHeld",
            Self::LiteLLMRegistered => "LiteLLMRegistered",
            Self::Obstructed => "Obstructed",
            Self::ToolsChanged => "ToolsChanged",
            Self::ToolsQuarantined => "ToolsQuarantined",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
