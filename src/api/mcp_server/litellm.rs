//! Registration in a LiteLLM proxy.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Registration in the LiteLLM proxy that pilothouse's configuration names.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.register || !has(self.allowedUserGroups)").message("spec.litellm.allowedUserGroups has no meaning while register is false: set register to true, or remove it"))]
pub struct LiteLlm {
    /// The server is kept registered there while it is Ready. Default: false.
    #[serde(default)]
    pub register: bool,

    /// LiteLLM access groups whose keys and teams may use it. Default: as the proxy decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    #[x_kube(validation = Rule::new("self.all(group, group.matches('^[^ \\\\t\\\\n,]+$'))").message("spec.litellm.allowedUserGroups must hold names without spaces and commas: correct them"))]
    pub allowed_user_groups: Vec<String>,
}
