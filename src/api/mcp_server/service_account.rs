//! The account the pod runs with.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{embedded, rules};

/// The account the pod runs with. Default: one of its own, named like the MCPServer.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.name) && has(self.create) && self.create)").message("spec.serviceAccount.name is an account that exists, so create excludes it: remove one of them"),
    validation = Rule::new("!has(self.annotations) || !(has(self.name) || (has(self.create) && !self.create))").message("spec.serviceAccount.annotations are set on the account that is made for the server: annotate the existing account itself, or remove name and create"),
)]
pub struct ServiceAccountSpec {
    /// A ServiceAccount of this namespace that exists. None is then made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("spec.serviceAccount.name", "a ServiceAccount"))]
    pub name: Option<String>,

    /// Whether one is made. `false` without a name means the namespace's `default`. Default: true without a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<bool>,

    /// Annotations of the one that is made, such as `eks.amazonaws.com/role-arn` for a cloud identity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "embedded::texts::<64, 4096>")]
    pub annotations: BTreeMap<String, String>,
}
