//! Volumes of the server, each with a mount path of its own.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Serialize;

use super::InvalidSpec;
use crate::api::mcp_server::{AccessMode, Config, EmptyDir, StorageMount};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::operator::mcp_server) struct Mount {
    pub path: String,
    pub sub_path: Option<String>,
    pub read_only: bool,
    pub volume: Kept,
}

/// Where it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::operator::mcp_server) enum Kept {
    /// In a claim that exists.
    Claim(String),
    /// In a folder that goes with the pod.
    WithPod { size_limit: Option<Quantity>, medium: Option<&'static str> },
    /// In a claim that is made for it.
    Own(OwnClaim),
}

/// A claim that is made. No pod changes with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::operator::mcp_server) struct OwnClaim {
    #[serde(skip)]
    pub size: Quantity,
    #[serde(skip)]
    pub storage_class: Option<String>,
    #[serde(skip)]
    pub access_mode: AccessMode,
}

pub(super) fn mounts(storage: &[StorageMount]) -> Result<Vec<Mount>, InvalidSpec> {
    let mut paths = BTreeSet::new();
    storage
        .iter()
        .map(|one| {
            if !paths.insert(&one.mount_path) {
                return Err(InvalidSpec::MountedTwice(one.mount_path.clone()));
            }
            mount(one)
        })
        .collect()
}

fn mount(one: &StorageMount) -> Result<Mount, InvalidSpec> {
    let StorageMount {
        mount_path,
        claim_name,
        empty_dir,
        size,
        storage_class_name,
        access_mode,
        read_only,
        sub_path,
    } = one;
    let volume = match (claim_name, empty_dir, size) {
        (Some(name), None, None) => Kept::Claim(name.clone()),
        (None, Some(EmptyDir { size_limit, medium }), None) => {
            Kept::WithPod { size_limit: size_limit.clone(), medium: medium.map(|medium| medium.as_str()) }
        }
        (None, None, Some(size)) => Kept::Own(OwnClaim {
            size: size.clone(),
            storage_class: storage_class_name.clone(),
            access_mode: access_mode.unwrap_or_default(),
        }),
        _ => return Err(InvalidSpec::Storage(mount_path.clone())),
    };
    Ok(Mount { path: mount_path.clone(), sub_path: sub_path.clone(), read_only: *read_only, volume })
}

/// Files of the ConfigMap that is made.
pub(super) fn config(config: Option<&Config>) -> Option<Config> {
    config.filter(|config| !config.files.is_empty()).cloned()
}
