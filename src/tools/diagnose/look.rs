//! What a picture tells of one object: who made it, what events say of it, what its containers wrote last.

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::Pod,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::Resource;

use super::{
    finding::{Evidence, ObjectRef},
    picture::{EventFacts, LogFacts, Picture},
};
use crate::tools::kinds::age;

/// The object that these metadata are of.
pub(super) fn reference(kind: &str, metadata: &ObjectMeta) -> ObjectRef {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    ObjectRef::new(kind, namespace, metadata.name.as_deref().unwrap_or_default())
}

/// Who made it, and manages it.
pub(super) fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whole seconds since it was made.
pub(super) fn seconds_old(metadata: &ObjectMeta, now: Timestamp) -> i64 {
    metadata.creation_timestamp.as_ref().map_or(i64::MAX, |made| now.as_second() - made.0.as_second())
}

impl Picture {
    /// Whether objects of this kind (`Node`) were read, so that one that is not here is not there.
    pub(super) fn has_read(&self, kind: &str) -> bool {
        !self.unread.contains_key(kind)
    }

    /// The top of the chain of makers: the Deployment rather than its replica set, the CronJob rather than its Job;
    /// the pod itself where nobody made it.
    pub(super) fn owner_of(&self, pod: &Pod) -> ObjectRef {
        self.makers_of(pod).pop().unwrap_or_else(|| reference("Pod", &pod.metadata))
    }

    /// Who made the pod, and who made that, and so on; the top one last.
    pub(super) fn makers_of(&self, pod: &Pod) -> Vec<ObjectRef> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let mut makers = Vec::new();
        let Some(first) = controller(&pod.metadata) else { return makers };
        makers.push(ObjectRef::new(&first.kind, namespace, &first.name));
        let next = match first.kind.as_str() {
            "ReplicaSet" => maker_in(&self.replica_sets, namespace, &first.name)
                .unwrap_or_else(|| deployment_by_name(pod, &first.name)),
            "ReplicationController" => deployment_config(pod),
            "Job" => maker_in(&self.jobs, namespace, &first.name).unwrap_or_default(),
            _ => None,
        };
        makers.extend(next.map(|(kind, name)| ObjectRef::new(&kind, namespace, &name)));
        makers
    }

    /// What the pods of this top owner are, as far as they are here.
    pub(super) fn pods_of<'a>(&'a self, owner: &'a ObjectRef) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(move |pod| self.owner_of(pod) == *owner)
    }

    /// What stands between a workload and its pods, and these.
    pub(super) fn made_by(&self, workload: &ObjectRef) -> Vec<ObjectRef> {
        let is_of = |metadata: &ObjectMeta| {
            let namespace = metadata.namespace.as_deref().unwrap_or_default();
            controller(metadata)
                .is_some_and(|owner| ObjectRef::new(&owner.kind, namespace, &owner.name) == *workload)
        };
        let sets = self.replica_sets.iter().filter(|set| is_of(&set.metadata));
        let jobs = self.jobs.iter().filter(|job| is_of(&job.metadata));
        let pods = self.pods_of(workload);
        sets.map(|set| reference("ReplicaSet", &set.metadata))
            .chain(jobs.map(|job| reference("Job", &job.metadata)))
            .chain(pods.map(|pod| reference("Pod", &pod.metadata)))
            .collect()
    }

    /// Newest first.
    pub(super) fn events_of<'a>(&'a self, object: &'a ObjectRef) -> impl Iterator<Item = &'a EventFacts> {
        self.events.iter().filter(move |event| event.object == *object)
    }

    pub(super) fn event_evidence(&self, event: &EventFacts) -> Evidence {
        let EventFacts { object, uid: _, is_warning: _, reason, message, count, last } = event;
        Evidence::Event {
            object: object.clone(),
            reason: reason.clone(),
            message: message.clone(),
            count: *count,
            ago: age(*last, self.now),
        }
    }

    /// The end of a container's log: of the one before the last restart where that is known.
    pub(super) fn log_of(&self, pod: &ObjectRef, container: &str) -> Option<&LogFacts> {
        let mut logs: Vec<&LogFacts> = self
            .logs
            .iter()
            .filter(|log| log.namespace == pod.namespace && log.pod == pod.name && log.container == container)
            .collect();
        logs.sort_by_key(|log| (log.lines.is_empty(), !log.previous));
        logs.first().copied()
    }
}

/// Of the object of that name: its own maker; `None` outside when it is not here.
fn maker_in<K>(all: &[K], namespace: &str, name: &str) -> Option<Option<(String, String)>>
where
    K: Resource<Scope = NamespaceResourceScope>,
{
    let found = all.iter().find(|known| {
        let meta = known.meta();
        meta.name.as_deref() == Some(name) && meta.namespace.as_deref() == Some(namespace)
    })?;
    Some(controller(found.meta()).map(|owner| (owner.kind.clone(), owner.name.clone())))
}

/// Replica sets that were not read give the Deployment away by the hash in their name.
fn deployment_by_name(pod: &Pod, replica_set: &str) -> Option<(String, String)> {
    let hash = pod.metadata.labels.as_ref()?.get("pod-template-hash")?;
    let deployment = replica_set.strip_suffix(hash)?.strip_suffix('-')?;
    Some(("Deployment".to_owned(), deployment.to_owned()))
}

fn deployment_config(pod: &Pod) -> Option<(String, String)> {
    let name = pod.metadata.annotations.as_ref()?.get("openshift.io/deployment-config.name")?;
    Some(("DeploymentConfig".to_owned(), name.clone()))
}
