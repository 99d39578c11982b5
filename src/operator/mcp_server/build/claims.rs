//! PersistentVolumeClaims that are made for `spec.storage[].size`. They go with the MCPServer, and not before.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{labels, names};
use crate::operator::mcp_server::validate::{Kept, Mount, OwnClaim, Owner};

pub(super) fn build<'a>(
    owner: &'a Owner,
    storage: &'a [Mount],
    child_labels: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (PersistentVolumeClaim, &'a OwnClaim)> {
    storage.iter().filter_map(move |mount| match &mount.volume {
        Kept::Own(claim) => Some((one(owner, &mount.path, claim, child_labels), claim)),
        Kept::Claim(_) | Kept::WithPod { .. } => None,
    })
}

fn one(
    owner: &Owner,
    path: &str,
    claim: &OwnClaim,
    child_labels: &BTreeMap<String, String>,
) -> PersistentVolumeClaim {
    let OwnClaim { size, storage_class, access_mode } = claim;
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::claim(owner, path)),
            ..labels::metadata(owner, child_labels)
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![access_mode.as_str().to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size.clone())])),
                limits: None,
            }),
            storage_class_name: storage_class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
