//! How a new revision takes over.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{omit, rules, span::Span};

/// How a new revision takes over. By default as Kubernetes does it: each new pod that is ready replaces an old one.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.gate) || !(has(self.allowBreaking) && self.allowBreaking)").message("spec.rollout.allowBreaking has no meaning without a gate: set spec.rollout.gate to contract, or remove it"))]
pub struct Rollout {
    /// `contract`: a new pod counts as ready only when it speaks MCP and has every tool of the serving revision
    /// with a schema that breaks no caller. Ties the readiness of new pods to pilothouse. Default: no gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,

    /// Tools may be missing or changed: the gate says so and lets the pod pass. Default: false.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub allow_breaking: bool,

    /// How long a pod that is replaced keeps the sessions it has, from 1s to 1h; it takes no new ones.
    /// Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::span("spec.rollout.drainTimeout", "1s", "1h"))]
    pub drain_timeout: Option<Span>,
}

/// What holds a new revision back.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    Contract,
}
