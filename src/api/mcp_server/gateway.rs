//! How a server's tools appear to clients.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{embedded, omit, rules, span::Span};

/// How the server's tools appear to clients.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
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

    /// Which of its tools are shown and may be called, and under which names.
    #[serde(default)]
    pub tools: ToolSelection,

    /// Who may see and call its tools, besides having the right by RBAC. Default: everybody who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,

    /// The Host header sent to it. Default: the name and port of its Service, or of the remote URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._:\\\\[\\\\]-]+$')").message("spec.gateway.hostHeader must be a host name, with a port if needed: write it like mcp.example.com:8080"))]
    pub host_header: Option<String>,

    /// How long one call may take, from 1ms to 24h.
    #[serde(default = "GatewaySpec::default_call_timeout")]
    #[x_kube(validation = rules::span("spec.gateway.callTimeout", "1ms", "24h"))]
    pub call_timeout: Span,

    /// Calls that may be under way at once, from 1 to 10000; the next one waits, then is refused. Default: as
    /// many as pilothouse's own limit for one server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::between("spec.gateway.maxConcurrentCalls", 1, 10_000))]
    pub max_concurrent_calls: Option<i32>,

    /// The server keeps nothing between calls: each may go to any of its pods, and one process in each answers all
    /// clients of a stdio server. Default: false.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub stateless: bool,

    /// Secrets are taken out of what it answers. Default: true. `false` is for a server whose answers look like
    /// secrets and are none.
    #[serde(default = "omit::yes", skip_serializing_if = "omit::is_yes")]
    pub redact: bool,

    /// What happens when the definition of a tool changes after the server was registered.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub pinning: Pinning,
}

impl GatewaySpec {
    fn default_call_timeout() -> Span {
        Span::seconds(60)
    }
}

impl Default for GatewaySpec {
    fn default() -> Self {
        Self {
            prefix: None,
            tools: ToolSelection::default(),
            access: None,
            host_header: None,
            call_timeout: Self::default_call_timeout(),
            max_concurrent_calls: None,
            stateless: false,
            redact: true,
            pinning: Pinning::default(),
        }
    }
}

/// Names are the server's own, without prefix. `deny` wins over `allow`.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
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

    /// Other names for tools: from the server's own name to the one shown after the prefix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::texts::<128, 64>")]
    #[x_kube(
        validation = Rule::new("self.all(tool, self[tool].matches('^[a-zA-Z0-9_-]{1,40}$'))").message("spec.gateway.tools.rename must give names of 1 to 40 letters, digits, underscores and dashes: correct them"),
        validation = Rule::new("self.all(tool, self.exists_one(other, self[other] == self[tool]))").message("spec.gateway.tools.rename gives one name to two tools: choose another for one of them"),
    )]
    pub rename: BTreeMap<String, String>,
}

/// Who may see and call the tools: whoever is named in any of the lists.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("size(self.groups) + size(self.users) + size(self.serviceAccounts) > 0").message("spec.gateway.access names nobody, so nobody could use the server: name groups, users or serviceAccounts, or remove it"))]
pub struct Access {
    /// Groups, as the API server knows the caller.
    #[serde(default)]
    #[schemars(length(max = 128), inner(length(min = 1, max = 256)))]
    pub groups: Vec<String>,

    /// Users, as the API server knows the caller.
    #[serde(default)]
    #[schemars(length(max = 128), inner(length(min = 1, max = 256)))]
    pub users: Vec<String>,

    /// Service accounts, written as `namespace/name`.
    #[serde(default)]
    #[schemars(length(max = 128), inner(length(max = 317)))]
    #[x_kube(validation = Rule::new("self.all(account, account.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$'))").message("spec.gateway.access.serviceAccounts must be written as namespace/name: correct them"))]
    pub service_accounts: Vec<String>,
}

/// What happens when the definition of a tool changes after the server was registered.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Pinning {
    /// A condition and an event say so, with the difference.
    #[default]
    Report,
    /// The tool cannot be called either until the change is approved by annotation.
    Enforce,
}
