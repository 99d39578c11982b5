//! A server that is already there.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A server that is already there.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Remote {
    /// Where it answers, with its path, such as `https://mcp.example.com/mcp`.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''").message("spec.remote.url must be an http or https URL with a host: write it like https://mcp.example.com/mcp"))]
    #[x_kube(validation = Rule::new("!self.split('/')[2].contains('@')").message("spec.remote.url must hold no user or password, since everybody who may read the MCPServer sees it: leave them out"))]
    pub url: String,
}
