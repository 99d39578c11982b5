//! A server that is already there.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{SecretKeyRef, rules};

/// A server that is already there.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Remote {
    /// Where it answers, with its path, such as `https://mcp.example.com/mcp`.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''").message("spec.remote.url must be an http or https URL with a host: write it like https://mcp.example.com/mcp"))]
    #[x_kube(validation = Rule::new("!self.split('/')[2].contains('@')").message("spec.remote.url must hold no user or password, since everybody who may read the MCPServer sees it: leave them out"))]
    pub url: String,

    /// Headers sent with every request, their values from Secrets of this namespace. They need the role
    /// `pilothouse-secrets` to be bound there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers_from: Vec<HeaderFrom>,

    /// The certificates of the authorities that its certificate is checked against, as PEM text. Default: those
    /// of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    #[x_kube(validation = rules::pem("spec.remote.caBundle"))]
    pub ca_bundle: Option<String>,
}

/// One header.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderFrom {
    /// Its name, such as `Authorization`.
    #[schemars(length(max = 128))]
    #[x_kube(
        validation = Rule::new("self.matches('^[A-Za-z0-9-]+$')").message("spec.remote.headersFrom[].name must be the name of a header, letters, digits and dashes: write it like Authorization"),
        validation = Rule::new("!self.matches('^(?i)(host|connection|content-length|content-type|accept|transfer-encoding|last-event-id|mcp-.*)$')").message("spec.remote.headersFrom[].name is a header that pilothouse sets itself: remove it, or use spec.gateway.hostHeader for Host"),
    )]
    pub name: String,

    /// Its whole value.
    pub secret_key_ref: SecretKeyRef,
}
