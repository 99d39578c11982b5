//! Where a secret value is kept. It is never written into a resource of ours.

// KubeSchema writes a copy of each struct inside a function and calls it `pub`.
#![allow(unreachable_pub)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{rules, span::Span};

/// A key of a Secret of the same namespace; the kubelet reads it, not pilothouse.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("secretKeyRef.name", "a Secret"))]
    pub name: String,

    /// Key in the Secret.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::data_key("secretKeyRef.key"))]
    pub key: String,
}

/// A value of an external store, brought by the External Secrets Operator through an ExternalSecret of ours. A
/// rotation rolls the pods.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Which store holds it.
    pub store: SecretStoreRef,

    /// Its name or path in the store.
    #[schemars(length(min = 1, max = 1024))]
    pub key: String,

    /// Which property of the value, where the store holds several under one key. Default: the whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub property: Option<String>,

    /// How often the store is asked, from 10s to 24h.
    #[serde(default = "External::default_refresh")]
    #[x_kube(validation = rules::span("external.refresh", "10s", "24h"))]
    pub refresh: Span,
}

impl External {
    fn default_refresh() -> Span {
        Span::minutes(60)
    }
}

/// Which store of the External Secrets Operator.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct SecretStoreRef {
    /// Name of the SecretStore or ClusterSecretStore.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("external.store.name", "a SecretStore or ClusterSecretStore"))]
    pub name: String,

    /// A SecretStore of this namespace or a ClusterSecretStore.
    #[serde(default)]
    pub kind: SecretStoreKind,
}

/// Kinds of store.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretStoreKind {
    #[default]
    SecretStore,
    ClusterSecretStore,
}

impl SecretStoreKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecretStore => "SecretStore",
            Self::ClusterSecretStore => "ClusterSecretStore",
        }
    }
}
