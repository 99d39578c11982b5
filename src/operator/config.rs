//! The part `operator` of the configuration file.

use std::net::SocketAddr;

use serde::Deserialize;

use super::{litellm::LitellmConfig, policy::Policy, webhook::WebhookConfig};

/// What does not fit a flag. Empty: everything is allowed, no webhook is served, and no proxy is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct OperatorConfig {
    /// What the installation allows.
    pub policy: Policy,
    /// Present, be it empty: the API server may ask before it stores.
    pub webhook: Option<WebhookConfig>,
    /// The LiteLLM proxy that servers with `litellm.register` are registered in.
    pub litellm: Option<LitellmConfig>,
    /// The health ports of the other replicas, which are asked who uses a server with `scaleToZero`. Not needed in a
    /// cluster, where they are found by the Service `pilothouse-peers`.
    pub peers: Vec<SocketAddr>,
}
