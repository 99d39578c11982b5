//! What is taken off objects while they are read, so that a big cluster makes no big picture.

use k8s_openapi::{
    api::{
        apps::v1::ReplicaSet,
        batch::v1::Job,
        core::v1::{ConfigMap, Node, PersistentVolume, Pod, PodTemplateSpec},
        rbac::v1::ClusterRoleBinding,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::tools::diagnose::look::controller;

/// Longer annotations are the last applied object, or somebody's database.
const ANNOTATION_BYTES: usize = 512;
/// Longer values of ConfigMaps are files; of these only the name is of use.
const VALUE_BYTES: usize = 200;
/// Admission gives it this name, and a suffix, in each pod that is not without one.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// Of a pod that runs well, what every pod has and nothing can be wrong with: half of its memory is the volume with its
/// account's token.
pub(super) fn well_pod(pod: &mut Pod) {
    if let Some(volumes) = pod.spec.as_mut().and_then(|spec| spec.volumes.as_mut()) {
        volumes.retain(|volume| !volume.name.starts_with(TOKEN_VOLUME));
    }
    if let Some(conditions) = pod.status.as_mut().and_then(|status| status.conditions.as_mut()) {
        conditions.retain(|condition| condition.status != "True" || condition.type_ == "Ready");
    }
}

/// The same object without room to spare: lists are read into room for four and more, a copy has what it needs. Of a
/// pod with one container it takes off a quarter.
pub(super) fn close<K: Clone>(object: &K) -> K {
    object.clone()
}

pub(super) fn metadata(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|_, value| value.len() <= ANNOTATION_BYTES);
    }
}

/// Old revisions are nothing; of the others the template is the Deployment's.
pub(super) fn replica_set(replica_set: &mut ReplicaSet) -> bool {
    let wanted = replica_set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    let there = replica_set.status.as_ref().map_or(0, |status| status.replicas);
    let is_own = controller(&replica_set.metadata).is_none();
    if !is_own && let Some(spec) = &mut replica_set.spec {
        spec.template = None;
    }
    wanted > 0 || there > 0 || is_own
}

/// What a CronJob has made has the CronJob's template.
pub(super) fn job(job: &mut Job) -> bool {
    if controller(&job.metadata).is_some()
        && let Some(spec) = &mut job.spec
    {
        spec.template = PodTemplateSpec::default();
    }
    true
}

/// Long values become empty, keys stay.
pub(super) fn config_map(config_map: &mut ConfigMap) -> bool {
    for value in config_map.data.iter_mut().flat_map(|data| data.values_mut()) {
        if value.len() > VALUE_BYTES {
            *value = String::new();
        }
    }
    for value in config_map.binary_data.iter_mut().flat_map(|data| data.values_mut()) {
        value.0 = Vec::new();
    }
    true
}

/// The list of images that a node holds is most of it.
pub(super) fn node(node: &mut Node) -> bool {
    if let Some(status) = &mut node.status {
        status.images = None;
    }
    true
}

/// Volumes that the namespace has claimed or may claim.
pub(super) fn volume(volume: &mut PersistentVolume, namespace: Option<&str>) -> bool {
    let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let of = claim.and_then(|claim| claim.namespace.as_deref());
    namespace.is_none() || of.is_none() || of == namespace
}

/// Those that give rights to pods.
pub(super) fn cluster_role_binding(binding: &mut ClusterRoleBinding) -> bool {
    let subjects = binding.subjects.iter().flatten();
    subjects.into_iter().any(|subject| match subject.kind.as_str() {
        "ServiceAccount" => true,
        "Group" => {
            subject.name.starts_with("system:serviceaccounts") || subject.name == "system:authenticated"
        }
        _ => subject.name.starts_with("system:serviceaccount:"),
    })
}
