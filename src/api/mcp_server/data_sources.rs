//! Which DataSources the server is connected to, and how it is told of them.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{embedded, omit, rules};

/// Which DataSources the server is connected to: those that have all of `matchLabels` and, where `matchNames` is
/// not empty, one of its names.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.matchLabels) || has(self.matchNames)").message("spec.dataSources selects nothing: set matchLabels or matchNames"))]
pub struct DataSources {
    /// Labels that a source has, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::texts::<16, 63>")]
    #[x_kube(
        validation = Rule::new("size(self) > 0").message("spec.dataSources.matchLabels is empty: name a label, or remove it"),
        validation = rules::labels("spec.dataSources.matchLabels"),
    )]
    pub match_labels: BTreeMap<String, String>,

    /// Names that a source may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    #[x_kube(validation = Rule::new("size(self) > 0").message("spec.dataSources.matchNames is empty: name a DataSource, or remove it"))]
    pub match_names: Vec<String>,

    /// Where sources are looked for. In another namespace a source must allow this one (`allowedNamespaces`).
    /// Default: the server's own namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    #[x_kube(validation = rules::namespaces("spec.dataSources.namespaces"))]
    pub namespaces: Vec<String>,

    /// What the server is told to keep to; the template passes it on.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub policy: DataPolicy,

    /// The file that tells the server of its sources. Default: none, only environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<DataTemplate>,
}

/// What the server is told to keep to.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DataPolicy {
    /// It must not change data. Default: true.
    #[serde(default = "omit::yes")]
    pub read_only: bool,

    /// Rows that one answer may hold, from 1 to 1000000.
    #[serde(default = "DataPolicy::default_max_rows")]
    #[x_kube(validation = rules::between("spec.dataSources.policy.maxRows", 1, 1_000_000))]
    pub max_rows: i32,
}

impl DataPolicy {
    fn default_max_rows() -> i32 {
        1000
    }
}

impl Default for DataPolicy {
    fn default() -> Self {
        Self { read_only: true, max_rows: Self::default_max_rows() }
    }
}

/// A file rendered for all sources together. Credentials are in it only as `${VAR}` until the pod starts.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DataTemplate {
    /// How values are quoted, and what the result is checked to be.
    pub format: TemplateFormat,

    /// The template.
    #[schemars(length(min = 1, max = 65_536))]
    pub text: String,

    /// The file the server finds it in, such as `/etc/mcp-sources/sources.toml`.
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::file_path("spec.dataSources.template.mountPath", "/etc/mcp-sources/sources.toml"))]
    pub mount_path: String,
}

/// What a rendered template is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateFormat {
    Toml,
    Json,
    Yaml,
}
