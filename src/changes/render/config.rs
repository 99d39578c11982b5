//! Which programs render, as the configuration file says it:
//!
//! ```yaml
//! changes:
//!   renderers:
//!     kustomize: [kubectl, kustomize]   # default: `kustomize build`, else `kubectl kustomize`, from PATH
//!     helm: [helm]                      # default
//! ```

use serde::Deserialize;

/// The `changes.renderers` part of the configuration file. Each is a command with its first arguments; the rest is
/// added. Empty: what is found on PATH.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RenderersConfig {
    pub kustomize: Vec<String>,
    pub helm: Vec<String>,
}
