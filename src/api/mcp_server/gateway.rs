//! How a server's tools appear to clients.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::CallTimeout;

/// How the server's tools appear to clients.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// What the names of its tools begin with: `prefix_tool`. `""` shows them without a prefix. Default: the
    /// server's name without dashes. The oldest server keeps a contested prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(
        validation = Rule::new("self.matches('^([a-z][a-z0-9]{0,15})?$')").message("spec.gateway.prefix must be a lowercase letter followed by at most 15 lowercase letters or digits, or \"\" for none: rename it"),
        validation = Rule::new("!(self in ['get', 'list', 'explain', 'resource', 'top', 'diagnose', 'what', 'check', 'rollout', 'query', 'find', 'search', 'propose', 'revise', 'withdraw', 'open', 'apply', 'close', 'call', 'cluster'])").message("spec.gateway.prefix is reserved for pilothouse's own tools: choose another"),
    )]
    pub prefix: Option<String>,

    /// Which of its tools are shown and may be called.
    #[serde(default)]
    pub tools: ToolSelection,

    /// The Host header sent to it. Default: the name and port of its Service, or of the remote URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._:\\\\[\\\\]-]+$')").message("spec.gateway.hostHeader must be a host name, with a port if needed: write it like mcp.example.com:8080"))]
    pub host_header: Option<String>,

    /// How long one call may take.
    #[serde(default)]
    pub call_timeout: CallTimeout,
}

/// Names are the server's own, without prefix. `deny` wins over `allow`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ToolSelection {
    /// Only these tools are shown. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub allow: Vec<String>,

    /// These tools are never shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub deny: Vec<String>,
}
