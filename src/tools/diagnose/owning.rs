//! What makes pods, and from which template.

use k8s_openapi::{
    api::core::v1::{PodSpec, PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    finding::ObjectRef,
    look::{controller, reference},
    picture::Picture,
    selecting::Labels,
};

/// Something that makes pods from a template.
pub(super) struct Workload<'a> {
    pub(super) object: ObjectRef,
    pub(super) metadata: &'a ObjectMeta,
    /// Of the pods that it makes.
    pub(super) labels: Option<&'a Labels>,
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

    use super::workloads;
    use crate::tools::diagnose::picture::{Picture, Scope};

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
