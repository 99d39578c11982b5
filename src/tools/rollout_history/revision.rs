//! One revision of a workload, read from whatever its controller keeps it in. Pure.

use jiff::Timestamp;
use serde_json::{Value, value::to_raw_value};

use crate::tools::get_logs;

/// What keeps the revisions of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    ReplicaSets,
    ControllerRevisions,
    ReplicationControllers,
}

/// One revision.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Revision {
    pub(super) number: u64,
    /// Of the object that keeps it.
    pub(super) name: String,
    /// When it was first rolled out; a rollback does not change it.
    pub(super) made: Option<Timestamp>,
    /// `ready/wanted`; empty where it is not kept.
    pub(super) replicas: String,
    pub(super) images: Vec<String>,
    pub(super) cause: String,
    /// Without what controllers add.
    pub(super) template: Value,
    pub(super) is_current: bool,
}

const REVISION: &str = "deployment.kubernetes.io/revision";
const CAUSE: &str = "kubernetes.io/change-cause";
const CONFIG: &str = "openshift.io/deployment-config.name";
const CONFIG_VERSION: &str = "openshift.io/deployment-config.latest-version";
const CONFIG_PHASE: &str = "openshift.io/deployment.phase";
const CONFIG_REASON: &str = "openshift.io/deployment.status-reason";

impl Keeper {
    /// For a kind of workload; none keeps revisions of others.
    pub(super) fn of(group: &str, kind: &str) -> Option<Self> {
        match (group, kind) {
            ("apps", "Deployment") => Some(Self::ReplicaSets),
            ("apps", "StatefulSet" | "DaemonSet") => Some(Self::ControllerRevisions),
            ("apps.openshift.io", "DeploymentConfig") => Some(Self::ReplicationControllers),
            _ => None,
        }
    }

    /// Group and kind of the objects that keep them.
    pub(super) fn kind(self) -> (&'static str, &'static str) {
        match self {
            Self::ReplicaSets => ("apps", "ReplicaSet"),
            Self::ControllerRevisions => ("apps", "ControllerRevision"),
            Self::ReplicationControllers => ("", "ReplicationController"),
        }
    }

    /// By which labels they are found; owner references decide.
    pub(super) fn labels(self, workload: &Value) -> Option<String> {
        match self {
            Self::ReplicaSets | Self::ControllerRevisions => {
                get_logs::selector(to_raw_value(workload).ok()?.as_ref())
            }
            Self::ReplicationControllers => {
                Some(format!("{CONFIG}={}", workload["metadata"]["name"].as_str()?))
            }
        }
    }

    /// The revision of `workload` that `object` keeps; nothing when it belongs to another.
    pub(super) fn revision(self, workload: &Value, object: &Value) -> Option<Revision> {
        if !is_owned(workload, object, self == Self::ReplicationControllers) {
            return None;
        }
        let meta = &object["metadata"];
        let annotation = |key: &str| meta["annotations"][key].as_str().unwrap_or_default();
        let (number, template, cause) = match self {
            Self::ReplicaSets => (
                annotation(REVISION).parse().ok()?,
                &object["spec"]["template"],
                annotation(CAUSE).to_owned(),
            ),
            Self::ControllerRevisions => (
                object["revision"].as_u64()?,
                &object["data"]["spec"]["template"],
                annotation(CAUSE).to_owned(),
            ),
            Self::ReplicationControllers => {
                let words = [annotation(CONFIG_PHASE), annotation(CONFIG_REASON)];
                let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
                (annotation(CONFIG_VERSION).parse().ok()?, &object["spec"]["template"], words.join(": "))
            }
        };
        let template = plain(template);
        let replicas = match self {
            Self::ControllerRevisions => String::new(),
            Self::ReplicaSets | Self::ReplicationControllers => {
                let ready = object["status"]["readyReplicas"].as_u64().unwrap_or(0);
                format!("{ready}/{}", object["spec"]["replicas"].as_u64().unwrap_or(0))
            }
        };
        Some(Revision {
            number,
            name: meta["name"].as_str().unwrap_or_default().to_owned(),
            made: meta["creationTimestamp"].as_str().and_then(|at| at.parse().ok()),
            replicas,
            images: images(&template),
            cause,
            template,
            is_current: false,
        })
    }

    /// Which revision the workload wants now; `revisions` begin with the newest.
    pub(super) fn mark_current(self, workload: &Value, revisions: &mut [Revision]) {
        let named = |revision: &Revision| match self {
            Self::ReplicaSets => {
                workload["metadata"]["annotations"][REVISION].as_str() == Some(&revision.number.to_string())
            }
            Self::ControllerRevisions => {
                workload["status"]["updateRevision"].as_str() == Some(revision.name.as_str())
            }
            Self::ReplicationControllers => {
                workload["status"]["latestVersion"].as_u64() == Some(revision.number)
            }
        };
        // Of a DaemonSet the newest is the current one; the others name theirs.
        let current = revisions.iter().position(named).unwrap_or(0);
        if let Some(current) = revisions.get_mut(current) {
            current.is_current = true;
        }
    }
}

fn is_owned(workload: &Value, object: &Value, by_label: bool) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let uid = &workload["metadata"]["uid"];
    (by_label && owners.is_empty()) || owners.iter().any(|owner| !uid.is_null() && owner["uid"] == *uid)
}

fn plain(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(fields) = template.as_object_mut() {
        fields.shift_remove("$patch");
        if let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.retain(|_, value| !value.is_null());
            if let Some(labels) = meta.get_mut("labels").and_then(Value::as_object_mut) {
                labels.shift_remove("pod-template-hash");
                labels.shift_remove("deployment");
            }
            if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.retain(|key, _| !key.starts_with("openshift.io/deployment"));
            }
        }
    }
    template
}

fn images(template: &Value) -> Vec<String> {
    let lists = ["initContainers", "containers"];
    let containers = lists.iter().filter_map(|list| template["spec"][list].as_array()).flatten();
    containers.filter_map(|container| Some(container["image"].as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Keeper, Revision};

    fn template(image: &str) -> Value {
        json!({ "metadata": { "labels": { "app": "web", "pod-template-hash": "abc" }, "creationTimestamp": null },
            "spec": { "containers": [{ "name": "web", "image": image }] } })
    }

    #[test]
    fn a_deployment_keeps_its_revisions_in_replica_sets_of_its_own() {
        let workload = json!({ "metadata": { "uid": "u1", "annotations": { "deployment.kubernetes.io/revision": "3" } },
            "spec": { "selector": { "matchLabels": { "app": "web" } } } });
        let set = |uid: &str, revision: &str, image: &str| {
            json!({ "metadata": { "name": "web-1", "creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [{ "uid": uid }],
                "annotations": { "deployment.kubernetes.io/revision": revision, "kubernetes.io/change-cause": "try" } },
                "spec": { "replicas": 2, "template": template(image) }, "status": { "readyReplicas": 1 } })
        };
        let keeper = Keeper::of("apps", "Deployment").unwrap();
        assert_eq!(keeper.labels(&workload).as_deref(), Some("app=web"));
        assert!(keeper.revision(&workload, &set("u2", "1", "shop:1")).is_none());
        let mut revisions: Vec<Revision> = [set("u1", "4", "shop:2"), set("u1", "3", "shop:1")]
            .iter()
            .filter_map(|set| keeper.revision(&workload, set))
            .collect();
        keeper.mark_current(&workload, &mut revisions);
        let [newest, current] = revisions.as_slice() else { unreachable!("two") };
        assert!(current.is_current && !newest.is_current);
        assert_eq!((current.replicas.as_str(), current.cause.as_str()), ("1/2", "try"));
        assert_eq!(current.images, ["shop:1"]);
        assert_eq!(current.template["metadata"], json!({ "labels": { "app": "web" } }));
    }

    #[test]
    fn a_stateful_set_names_its_current_controller_revision() {
        let workload = json!({ "metadata": { "uid": "u" }, "status": { "updateRevision": "db-a" } });
        let kept = |name: &str, number: u64| {
            let template = json!({ "$patch": "replace", "spec": { "containers": [{ "image": "db:1" }] } });
            json!({ "metadata": { "name": name, "ownerReferences": [{ "uid": "u" }] }, "revision": number,
                "data": { "spec": { "template": template } } })
        };
        let keeper = Keeper::of("apps", "StatefulSet").unwrap();
        let mut revisions: Vec<Revision> = [kept("db-b", 2), kept("db-a", 1)]
            .iter()
            .filter_map(|kept| keeper.revision(&workload, kept))
            .collect();
        keeper.mark_current(&workload, &mut revisions);
        assert!(revisions[1].is_current && revisions[1].name == "db-a");
        assert_eq!(revisions[0].template, json!({ "spec": { "containers": [{ "image": "db:1" }] } }));
    }

    #[test]
    fn a_deployment_config_tells_how_each_revision_went() {
        let workload = json!({ "metadata": { "name": "api", "uid": "u" }, "status": { "latestVersion": 2 } });
        let kept = json!({ "metadata": { "name": "api-2", "annotations": {
                "openshift.io/deployment-config.latest-version": "2", "openshift.io/deployment.phase": "Failed",
                "openshift.io/deployment.status-reason": "config change" } },
            "spec": { "replicas": 0, "template": template("api:2") } });
        let keeper = Keeper::of("apps.openshift.io", "DeploymentConfig").unwrap();
        let revision = keeper.revision(&workload, &kept).unwrap();
        assert_eq!((revision.number, revision.cause.as_str()), (2, "Failed: config change"));
        assert_eq!(keeper.labels(&workload).as_deref(), Some("openshift.io/deployment-config.name=api"));
        assert!(Keeper::of("", "Pod").is_none());
    }
}
