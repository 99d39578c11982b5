//! Who reaches the server, and what it reaches.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{embedded, omit, rules};

/// Who reaches the pods and what they reach: in come pilothouse and, to the metrics port, monitoring; out goes
/// DNS. The rest is listed here.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.enabled || (!has(self.ingressFrom) && !has(self.egress))").message("spec.networkPolicy.enabled is false, so ingressFrom and egress have no meaning: enable it or remove them"))]
pub struct NetworkPolicySpec {
    /// A NetworkPolicy is made. Default: true.
    #[serde(default = "omit::yes")]
    pub enabled: bool,

    /// Who else may connect to its port, as `from` in a NetworkPolicy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::brief::<Vec<NetworkPolicyPeer>>", length(max = 64))]
    pub ingress_from: Vec<NetworkPolicyPeer>,

    /// What else it may connect to, as `egress` in a NetworkPolicy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::brief::<Vec<NetworkPolicyEgressRule>>", length(max = 64))]
    pub egress: Vec<NetworkPolicyEgressRule>,
}

impl Default for NetworkPolicySpec {
    fn default() -> Self {
        Self { enabled: true, ingress_from: Vec::new(), egress: Vec::new() }
    }
}

/// A way in from outside the cluster, by an Ingress. It does not pass pilothouse: who may call is then for the
/// server or the ingress controller to check.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// The host name it answers to.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')").message("spec.ingress.host must be a host name in lowercase: write it like mcp.example.com"))]
    pub host: String,

    /// Everything under this path goes to the server.
    #[serde(default = "IngressSpec::default_path")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::url_path("spec.ingress.path", "/"))]
    pub path: String,

    /// The IngressClass. Default: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("spec.ingress.className", "an IngressClass"))]
    pub class_name: Option<String>,

    /// The Secret of this namespace with the certificate of the host. Default: no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("spec.ingress.tlsSecretName", "a Secret"))]
    pub tls_secret_name: Option<String>,

    /// Annotations of the Ingress, such as those of its controller or of cert-manager.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::texts::<64, 4096>")]
    pub annotations: BTreeMap<String, String>,
}

impl IngressSpec {
    fn default_path() -> String {
        "/".to_owned()
    }
}
