//! Files of the server that are no secret.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{embedded, rules};

/// Files in a ConfigMap of its own. A change rolls the pods.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The folder they are in.
    #[serde(default = "Config::default_mount_path")]
    #[schemars(length(max = 512))]
    #[x_kube(
        validation = rules::file_path("spec.config.mountPath", "/etc/mcp"),
        validation = Rule::new("self != '/tmp'").message("spec.config.mountPath must not be /tmp, which the server writes to: write it like /etc/mcp"),
    )]
    pub mount_path: String,

    /// Text by file name, together at most 900000 characters.
    #[schemars(schema_with = "embedded::texts::<64, 262_144>")]
    #[x_kube(
        validation = Rule::new("size(self) > 0").message("spec.config.files is empty: name a file with its text, or remove spec.config"),
        validation = Rule::new("self.all(name, name.matches('^[-._a-zA-Z0-9]{1,253}$') && name != '.' && !name.startsWith('..'))").message("spec.config.files must be named with letters, digits, dashes, dots and underscores, without folders: write them like settings.yaml"),
        validation = Rule::new("self.map(name, size(self[name])).sum() <= 900000").message("spec.config.files hold more than 900000 characters, more than a ConfigMap can: put large files into the image or a volume"),
    )]
    pub files: BTreeMap<String, String>,
}

impl Config {
    fn default_mount_path() -> String {
        "/etc/mcp".to_owned()
    }
}
