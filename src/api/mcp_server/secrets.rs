//! Secrets of the server. The kubelet reads them; pilothouse does not.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{External, SecretKeyRef, omit, rules};

/// One secret value: where it is kept and where the server finds it.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.env) != has(self.file)").message("spec.secrets[] must hold exactly one of env and file: say where the server finds it"),
    validation = Rule::new("has(self.secretKeyRef) != has(self.external)").message("spec.secrets[] must hold exactly one of secretKeyRef and external: say where it is kept"),
)]
pub struct SecretEntry {
    /// The environment variable it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::environment_name("spec.secrets[].env"))]
    pub env: Option<String>,

    /// The file it is in, such as `/run/secrets/token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::file_path("spec.secrets[].file", "/run/secrets/token"))]
    pub file: Option<String>,

    /// The pod starts without it too. Default: false.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub optional: bool,

    /// A Secret of this namespace that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,

    /// A value of an external store. Needs the External Secrets Operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}
