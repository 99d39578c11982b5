//! `DataSource`: a database, search engine, store or API that MCPServers are connected to.

// KubeSchema writes a copy of each struct inside a function and calls it `pub`.
#![allow(unreachable_pub)]

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{External, SecretKeyRef, Span, rules};

/// Where the data is, how one gets in, and how that is checked.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "pilothouse.dev",
    version = "v1alpha1",
    kind = "DataSource",
    plural = "datasources",
    singular = "datasource",
    shortname = "phds",
    category = "pilothouse",
    namespaced,
    status = "DataSourceStatus",
    derive = "PartialEq",
    doc = "A database, search engine, store or API. pilothouse checks that its credentials work, and MCPServers select it by its labels or name (spec.dataSources).",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.endpoint"),
    printcolumn(name = "Checked", type_ = "date", json_path = ".status.lastChecked"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(
        "!has(self.spec.engine) || self.spec.engine == 'tcp' || (self.spec.engine == 'http') == self.spec.endpoint.matches('^https?://')"
    )
    .message("spec.engine http goes with an endpoint that begins with http:// or https://, and no other engine does: correct one of them"),
    validation = Rule::new(
        "!self.spec.endpoint.contains('://') || self.spec.endpoint.matches('^(postgres|postgresql|redis|rediss|http|https)://') || self.spec.endpoint.matches('^[^/]*//[^/?#]*:[0-9]+([/?#]|$)')"
    )
    .message("spec.endpoint needs a port, since its scheme has none of its own: write it like tcp://store:9000"),
    validation = Rule::new("!has(self.spec.tls) || !self.spec.endpoint.startsWith('http://')")
        .message("spec.tls has no meaning with an http endpoint: write spec.endpoint with https://, or remove spec.tls"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')")
        .message("metadata.name must be a lowercase letter followed by at most 62 lowercase letters, digits or dashes, since variables are named after it: rename the DataSource"),
)]
#[serde(rename_all = "camelCase")]
pub struct DataSourceSpec {
    /// What it is.
    #[serde(rename = "type")]
    pub type_: DataSourceType,

    /// Where it is, as a URL with port and, for a database, its name, such as
    /// `postgresql://db.shop:5432/orders`. Never with user or password.
    #[schemars(length(max = 2048))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z][a-z0-9+.-]*://[^ /?#]+([/?#][^ ]*)?$')").message("spec.endpoint must be a URL with a host: write it like postgresql://db.shop:5432/orders, https://api.example.com or tcp://store:9000"),
        validation = Rule::new("!self.matches('^[^/]*//[^/?#]*@')").message("spec.endpoint must hold no user or password, since everybody who may read the DataSource sees it: put them into spec.credentials"),
    )]
    pub endpoint: String,

    /// What is spoken with it when it is checked. Default: by the scheme of `endpoint` (postgres, postgresql,
    /// redis, rediss, http, https), else `tcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,

    /// What it takes to get in. `username`, `password` and `token` are used by the check; each is in the template
    /// of an MCPServer under its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub credentials: Vec<Credential>,

    /// The connection is by TLS. Default: where the scheme says so (https, rediss).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<DataSourceTls>,

    /// How it is checked.
    #[serde(default)]
    pub health_check: HealthCheck,

    /// Other namespaces whose MCPServers may use it, with its credentials; `*` means all. Default: none but its
    /// own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    #[x_kube(validation = Rule::new("self.all(name, name == '*' || name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'))").message("spec.allowedNamespaces must hold names of namespaces, or \"*\" for all: write them like team-a"))]
    pub allowed_namespaces: Vec<String>,
}

/// What it is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum DataSourceType {
    Database,
    Search,
    Storage,
    Api,
}

impl DataSourceType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Search => "search",
            Self::Storage => "storage",
            Self::Api => "api",
        }
    }
}

/// What is spoken with it when it is checked.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    Postgresql,
    Redis,
    Http,
    /// Only a connection, with TLS where that is asked for.
    Tcp,
}

/// One thing it takes to get in.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.external)").message("spec.credentials[] must hold exactly one of secretKeyRef and external: say where it is kept"))]
pub struct Credential {
    /// `username`, `password`, `token`, or a name of one's own for templates, such as `accessKey`.
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z][a-zA-Z0-9]*$')").message("spec.credentials[].name must be a lowercase letter followed by letters and digits: write it like username or accessKey"))]
    pub name: String,

    /// A Secret of this namespace that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,

    /// A value of an external store. Needs the External Secrets Operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// The connection is by TLS.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DataSourceTls {
    /// The certificates of the authorities that its certificate is checked against, as PEM text. Default: those
    /// of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    #[x_kube(validation = rules::pem("spec.tls.caBundle"))]
    pub ca_bundle: Option<String>,
}

/// How it is checked.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// How often, from 10s to 24h.
    #[serde(default = "HealthCheck::default_interval")]
    #[x_kube(validation = rules::span("spec.healthCheck.interval", "10s", "24h"))]
    pub interval: Span,

    /// How long one check may take, from 1s to 60s.
    #[serde(default = "HealthCheck::default_timeout")]
    #[x_kube(validation = rules::span("spec.healthCheck.timeout", "1s", "60s"))]
    pub timeout: Span,

    /// For an http source, the path that must answer with a status from 200 to 399. Default: that of `endpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::url_path("spec.healthCheck.path", "/healthz"))]
    pub path: Option<String>,
}

impl HealthCheck {
    fn default_interval() -> Span {
        Span::minutes(5)
    }

    fn default_timeout() -> Span {
        Span::seconds(10)
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { interval: Self::default_interval(), timeout: Self::default_timeout(), path: None }
    }
}

/// What the checks found.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DataSourceStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The whole in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DataSourcePhase>,

    /// When it was last checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checked: Option<Time>,

    /// What the last check found, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// Accepted: the spec can be acted on. Connected: the last check got in. SecretsSynced: where external
    /// values are used. SecretsNotReadable: True while the credentials cannot be used in checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The whole in one word.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataSourcePhase {
    /// It was not checked yet.
    Pending,
    /// The last check got in.
    Connected,
    /// It cannot be reached or refuses the credentials; the message says which.
    Failed,
    /// It answers, but not as it should, or it was reached and the credentials could not be tried.
    Degraded,
}

impl DataSourcePhase {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Connected, Self::Degraded, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Connected => "Connected",
            Self::Failed => "Failed",
            Self::Degraded => "Degraded",
        }
    }
}

/// The conditions a DataSource has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataSourceCondition {
    Accepted,
    Connected,
    SecretsSynced,
    SecretsNotReadable,
}

impl DataSourceCondition {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Connected => "Connected",
            Self::SecretsSynced => "SecretsSynced",
            Self::SecretsNotReadable => "SecretsNotReadable",
        }
    }
}

impl fmt::Display for DataSourceCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
