//! Where the metrics are: `metrics` of the configuration file.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

/// Without `prometheus`, the tools over it are not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct MetricsConfig {
    pub prometheus: Option<PrometheusConfig>,
    /// Says which alerts are silenced; without it, alerts are what Prometheus says.
    pub alertmanager: Option<ServerConfig>,
}

/// One server and how it is talked to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServerConfig {
    /// `http://prometheus.monitoring.svc:9090`; a path before `/api` is kept.
    pub url: Url,
    /// A file with a bearer token; read anew for each request, as tokens are renewed.
    pub token_file: Option<PathBuf>,
    /// A file with the authorities (PEM) that its certificate is trusted by, beside the usual ones.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PrometheusConfig {
    pub url: Url,
    pub token_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    /// The label that says of which namespace a series is; `namespace` if absent.
    pub namespace_label: Option<String>,
}

impl PrometheusConfig {
    pub(super) fn server(&self) -> ServerConfig {
        let Self { url, token_file, ca_file, namespace_label: _ } = self.clone();
        ServerConfig { url, token_file, ca_file }
    }

    pub(super) fn label(&self) -> Result<String, MetricsConfigError> {
        let label = self.namespace_label.as_deref().unwrap_or("namespace");
        let mut chars = label.chars();
        let is_name = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name { Ok(label.to_owned()) } else { Err(MetricsConfigError::Label(label.to_owned())) }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetricsConfigError {
    #[error("`metrics.alertmanager` needs `metrics.prometheus` beside it: add its url")]
    AlertmanagerAlone,
    #[error("`metrics.prometheus.namespaceLabel` is `{0}`, which is no label: use letters, digits and _")]
    Label(String),
    #[error(
        "the url of {server} under `metrics` is `{url}`: it must begin with http:// or https:// and hold no password or query"
    )]
    Url { server: &'static str, url: String },
    #[error("the `caFile` of {server}, {path}, cannot be used ({reason}): it must hold certificates as PEM")]
    Authority { server: &'static str, path: String, reason: String },
    #[error("no client for {server} can be made ({reason})")]
    Client { server: &'static str, reason: String },
}
