//! Who made an object, and what makes pods.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Pod, PodSpec, PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};

use super::{finding::ObjectRef, picture::Picture, selecting::Labels};

/// The object with this metadata.
pub(super) fn reference(kind: &str, metadata: &ObjectMeta) -> ObjectRef {
    ObjectRef {
        kind: kind.to_owned(),
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// Empty where there is none.
pub(super) fn namespace(metadata: &ObjectMeta) -> &str {
    metadata.namespace.as_deref().unwrap_or_default()
}

/// Empty where there is none.
pub(super) fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// The owner that manages it, of all its owners.
pub(super) fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Where a change would be made: the Deployment rather than its replica set, the CronJob rather than its job; the pod
/// itself where nothing made it.
pub(super) fn workload_of(pod: &Pod, picture: &Picture) -> ObjectRef {
    top_owner("Pod", &pod.metadata, picture)
}

/// The topmost owner of an object of `kind`, or itself.
pub(super) fn top_owner(kind: &str, metadata: &ObjectMeta, picture: &Picture) -> ObjectRef {
    let Some(owner) = controller(metadata) else { return reference(kind, metadata) };
    let namespace = namespace(metadata);
    let owned = |known: &&ObjectMeta| {
        known.namespace.as_deref() == Some(namespace) && known.uid.as_ref() == Some(&owner.uid)
    };
    let above = match owner.kind.as_str() {
        "ReplicaSet" => picture.replica_sets.iter().map(|set| &set.metadata).find(owned),
        "Job" => picture.jobs.iter().map(|job| &job.metadata).find(owned),
        _ => None,
    };
    if let Some(above) = above {
        return top_owner(&owner.kind, above, picture);
    }
    // The replica set was not read: its name is the Deployment's and the hash that the pod carries.
    let hash = metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let hash = hash.filter(|_| owner.kind == "ReplicaSet");
    match hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')) {
        Some(deployment) => ObjectRef::new("Deployment", namespace, deployment),
        None => ObjectRef::new(&owner.kind, namespace, &owner.name),
    }
}

/// Something that makes pods from a template.
pub(super) struct Workload<'a> {
    pub(super) object: ObjectRef,
    pub(super) metadata: &'a ObjectMeta,
    /// Of the pods that it makes.
    pub(super) labels: Option<&'a Labels>,
    pub(super) annotations: Option<&'a BTreeMap<String, String>>,
    pub(super) spec: &'a PodSpec,
    /// How many pods it wants. None where that is not a fixed number: DaemonSets, jobs.
    pub(super) replicas: Option<i32>,
}

impl<'a> Workload<'a> {
    fn new(
        kind: &str,
        metadata: &'a ObjectMeta,
        template: Option<&'a PodTemplateSpec>,
        replicas: Option<i32>,
    ) -> Option<Self> {
        let PodTemplateSpec { metadata: made, spec } = template?;
        let made = made.as_ref();
        Some(Self {
            object: reference(kind, metadata),
            metadata,
            labels: made.and_then(|made| made.labels.as_ref()),
            annotations: made.and_then(|made| made.annotations.as_ref()),
            spec: spec.as_ref()?,
            replicas,
        })
    }
}

/// Everything that makes pods and is not itself made by another workload.
pub(super) fn workloads(picture: &Picture) -> Vec<Workload<'_>> {
    let deployments = picture.deployments.iter().map(|deployment| {
        let spec = deployment.spec.as_ref();
        let replicas = spec.map(|spec| spec.replicas.unwrap_or(1));
        Workload::new("Deployment", &deployment.metadata, spec.map(|spec| &spec.template), replicas)
    });
    let stateful_sets = picture.stateful_sets.iter().map(|set| {
        let spec = set.spec.as_ref();
        let replicas = spec.map(|spec| spec.replicas.unwrap_or(1));
        Workload::new("StatefulSet", &set.metadata, spec.map(|spec| &spec.template), replicas)
    });
    let daemon_sets = picture.daemon_sets.iter().map(|set| {
        Workload::new("DaemonSet", &set.metadata, set.spec.as_ref().map(|spec| &spec.template), None)
    });
    let loose = |metadata: &ObjectMeta| controller(metadata).is_none();
    let replica_sets = picture.replica_sets.iter().filter(|set| loose(&set.metadata)).map(|set| {
        let spec = set.spec.as_ref();
        let replicas = spec.map(|spec| spec.replicas.unwrap_or(1));
        Workload::new("ReplicaSet", &set.metadata, spec.and_then(|spec| spec.template.as_ref()), replicas)
    });
    let jobs =
        picture.jobs.iter().filter(|job| loose(&job.metadata)).map(|job| {
            Workload::new("Job", &job.metadata, job.spec.as_ref().map(|spec| &spec.template), None)
        });
    let cron_jobs = picture.cron_jobs.iter().map(|job| {
        let spec = job.spec.as_ref().and_then(|spec| spec.job_template.spec.as_ref());
        Workload::new("CronJob", &job.metadata, spec.map(|spec| &spec.template), None)
    });
    let all = deployments.chain(stateful_sets).chain(daemon_sets).chain(replica_sets);
    all.chain(jobs).chain(cron_jobs).flatten().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use serde_json::json;

    use super::{workload_of, workloads};
    use crate::tools::diagnose::picture::{Picture, Scope};

    #[test]
    fn a_pod_belongs_to_what_a_change_would_be_made_in() {
        let mut picture = Picture::empty(Scope::Cluster, Timestamp::UNIX_EPOCH);
        let owned = |kind: &str, name: &str, uid: &str| json!([{ "apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true }]);
        let pod = |owners: serde_json::Value| {
            serde_json::from_value(
                json!({ "metadata": { "name": "p", "namespace": "n", "ownerReferences": owners,
                "labels": { "pod-template-hash": "7d4" } } }),
            )
            .unwrap()
        };
        let set = json!({ "metadata": { "name": "odd", "namespace": "n", "uid": "rs",
            "ownerReferences": owned("Deployment", "web", "d") } });
        picture.replica_sets.push(serde_json::from_value(set).unwrap());
        let job = json!({ "metadata": { "name": "night-1", "namespace": "n", "uid": "job",
            "ownerReferences": owned("CronJob", "night", "c") } });
        picture.jobs.push(serde_json::from_value(job).unwrap());
        for (owners, expected) in [
            (owned("ReplicaSet", "odd", "rs"), "Deployment n/web"),
            (owned("ReplicaSet", "shop-7d4", "unread"), "Deployment n/shop"),
            (owned("Job", "night-1", "job"), "CronJob n/night"),
            (owned("Rollout", "x", "y"), "Rollout n/x"),
            (json!([]), "Pod n/p"),
        ] {
            assert_eq!(workload_of(&pod(owners), &picture).words(), expected);
        }
    }

    #[test]
    fn makers_of_pods_are_listed_once() {
        let mut picture = Picture::empty(Scope::Cluster, Timestamp::UNIX_EPOCH);
        let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [] } });
        let spec = json!({ "replicas": 0, "selector": {}, "template": template });
        let deployment = json!({ "metadata": { "name": "web", "namespace": "n" }, "spec": spec });
        picture.deployments.push(serde_json::from_value(deployment).unwrap());
        let set = json!({ "metadata": { "name": "web-1", "namespace": "n", "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "controller": true }] },
            "spec": spec });
        picture.replica_sets.push(serde_json::from_value(set).unwrap());
        let all = workloads(&picture);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].object.words(), all[0].replicas), ("Deployment n/web".to_owned(), Some(0)));
        assert_eq!(all[0].labels.unwrap()["app"], "web");
    }
}
