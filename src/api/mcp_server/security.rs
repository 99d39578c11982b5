//! What the pod may do. Nothing that Pod Security `restricted` refuses can be written here: no root, no
//! privilege, no capability, no host, no unconfined system calls.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{omit, rules};

/// As whom the pod runs and what it may do.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Security {
    /// The user it runs as, from 1 to 2147483647; never root. Default: 65532.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 2147483647").message("spec.security.runAsUser must be from 1 to 2147483647, since pods here never run as root: choose another user, such as 65532"))]
    pub run_as_user: Option<i64>,

    /// The group it runs as, from 0 to 2147483647. Default: 65532.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::between("spec.security.runAsGroup", 0, 2_147_483_647))]
    pub run_as_group: Option<i64>,

    /// The group that owns its volumes, from 0 to 2147483647. Default: none, or 65532 where `storage` has a
    /// claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::between("spec.security.fsGroup", 0, 2_147_483_647))]
    pub fs_group: Option<i64>,

    /// Further groups of its user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.all(group, group >= 0 && group <= 2147483647)").message("spec.security.supplementalGroups must be from 0 to 2147483647: correct them"))]
    pub supplemental_groups: Vec<i64>,

    /// The image's files cannot be written; /tmp and `storage` can. Default: true.
    #[serde(default = "omit::yes")]
    pub read_only_root_filesystem: bool,

    /// The token of its ServiceAccount is mounted, so that it may call the Kubernetes API. Default: false.
    #[serde(default)]
    pub mount_service_account_token: bool,

    /// Which system calls it may make.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub seccomp_profile: Seccomp,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            run_as_user: None,
            run_as_group: None,
            fs_group: None,
            supplemental_groups: Vec::new(),
            read_only_root_filesystem: true,
            mount_service_account_token: false,
            seccomp_profile: Seccomp::default(),
        }
    }
}

/// Which system calls it may make.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'Localhost') == has(self.localhostProfile)").message("spec.security.seccompProfile.localhostProfile goes with the type Localhost and only with it: set both or remove it"))]
pub struct Seccomp {
    /// The container runtime's profile, or one that is on the node.
    #[serde(rename = "type", default)]
    pub type_: SeccompType,

    /// The profile on the node, a path under the kubelet's folder for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[^/]+(/[^/]+)*$') && !self.matches('(^|/)[.][.](/|$)')").message("spec.security.seccompProfile.localhostProfile must be a path under the kubelet's folder for profiles: write it like profiles/mcp.json"))]
    pub localhost_profile: Option<String>,
}

/// The container runtime's profile, or one that is on the node.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeccompType {
    #[default]
    RuntimeDefault,
    Localhost,
}

impl SeccompType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RuntimeDefault => "RuntimeDefault",
            Self::Localhost => "Localhost",
        }
    }
}
