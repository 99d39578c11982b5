//! The part `operator` of the configuration file.

use serde::Deserialize;

use super::{policy::Policy, webhook::WebhookConfig};

/// What does not fit a flag. Empty: everything is allowed, and no webhook is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct OperatorConfig {
    /// What the installation allows.
    pub policy: Policy,
    /// Present, be it empty: the API server may ask before it stores.
    pub webhook: Option<WebhookConfig>,
}
