//! What is mounted into the container besides its configuration and secrets.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{embedded, omit, rules};

/// A volume and where it is mounted. Exactly one of `claimName`, `emptyDir` and `size`.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.claimName), has(self.emptyDir), has(self.size)].filter(given, given).size() == 1").message("spec.storage[] must hold exactly one of claimName (a claim that exists), emptyDir (gone with the pod) and size (a claim of its own): set one of them"),
    validation = Rule::new("has(self.size) || !(has(self.storageClassName) || has(self.accessMode))").message("spec.storage[].storageClassName and accessMode describe a claim of its own: set size, or remove them"),
    validation = Rule::new("!(has(self.size) && has(oldSelf.size)) || (has(self.storageClassName) ? has(oldSelf.storageClassName) && self.storageClassName == oldSelf.storageClassName : !has(oldSelf.storageClassName))").message("spec.storage[].storageClassName of a claim cannot change: keep it, or use another mountPath"),
    validation = Rule::new("!(has(self.size) && has(oldSelf.size)) || (has(self.accessMode) ? has(oldSelf.accessMode) && self.accessMode == oldSelf.accessMode : !has(oldSelf.accessMode))").message("spec.storage[].accessMode of a claim cannot change: keep it, or use another mountPath"),
)]
pub struct StorageMount {
    /// Where it is mounted, such as `/data`. `/tmp` replaces the one that every pod has.
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::file_path("spec.storage[].mountPath", "/data"))]
    pub mount_path: String,

    /// A PersistentVolumeClaim of this namespace that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("spec.storage[].claimName", "a PersistentVolumeClaim"))]
    pub claim_name: Option<String>,

    /// A folder that goes with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDir>,

    /// Size of a PersistentVolumeClaim that is made for it, such as `10Gi`. It goes with the MCPServer, and not
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::number_or_text::<32>")]
    #[x_kube(validation = rules::quantity("spec.storage[].size", "10Gi"))]
    pub size: Option<Quantity>,

    /// StorageClass of the claim that is made. Default: the cluster's default. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("spec.storage[].storageClassName", "a StorageClass"))]
    pub storage_class_name: Option<String>,

    /// How the claim that is made may be mounted. Default: ReadWriteOnce. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<AccessMode>,

    /// The server may only read. Default: false.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub read_only: bool,

    /// Only this folder of the volume is mounted. Default: the whole volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[^/:]+(/[^/:]+)*$') && !self.matches('(^|/)[.][.]?(/|$)')").message("spec.storage[].subPath must be a path inside the volume, without / at its begin or end and without . or ..: write it like team-a/cache"))]
    pub sub_path: Option<String>,
}

/// A folder that goes with the pod.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDir {
    /// How much it may hold, such as `1Gi`; a pod that writes more is evicted. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::number_or_text::<32>")]
    #[x_kube(validation = rules::quantity("spec.storage[].emptyDir.sizeLimit", "1Gi"))]
    pub size_limit: Option<Quantity>,

    /// `Memory` keeps it in memory, counted in the container's limit. Default: on the node's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
}

/// Where a folder that goes with the pod is kept.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    Memory,
}

impl Medium {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "Memory",
        }
    }
}

/// How a claim may be mounted. Not by one pod alone: its successor would wait for it for ever; not only to read:
/// a claim that is made is empty.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessMode {
    /// By the pods of one node.
    #[default]
    ReadWriteOnce,
    /// By any pod.
    ReadWriteMany,
}

impl AccessMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadWriteMany => "ReadWriteMany",
        }
    }
}
