//! What one object tells of itself, whatever its kind: created, being deleted, written by whom. Pure.

use jiff::Timestamp;

use super::{
    entry::{Entry, Managed, Meta, Sort, Span},
    fields,
};

/// Writes of whoever made it, this soon after the creation, belong to it.
const WITH_CREATION_SECONDS: i64 = 3;

/// What every namespace is given at its birth.
const BORN_WITH: [&str; 4] = ["kube-root-ca.crt", "openshift-service-ca.crt", "default", "trusted-ca-bundle"];

/// `replicas` is what the object asks for now, where it asks for any.
pub(super) fn entries(kind: &str, meta: &Meta, replicas: Option<i64>, span: Span) -> Vec<Entry> {
    let thing = meta.thing(kind);
    let mut entries = Vec::new();
    let mut add = |at, sort, by: &str, what: String| {
        entries.push(Entry { at, thing: thing.clone(), sort, by: by.to_owned(), what });
    };
    let created = meta.creation_timestamp;
    let maker = maker(meta);
    if let Some(at) = created.filter(|at| span.has(*at)) {
        let is_born_with =
            ["ConfigMap", "ServiceAccount"].contains(&kind) && BORN_WITH.contains(&meta.name.as_str());
        if !is_born_with {
            add(at, Sort::Created, maker.unwrap_or_default(), "created".to_owned());
        }
    }
    if let Some(at) = meta.deletion_timestamp.filter(|at| span.has(*at)) {
        add(at, Sort::Deleted, "", "is being deleted".to_owned());
    }
    for managed in &meta.managed_fields {
        let Managed { manager, operation: _, time: Some(at), subresource, fields_v1 } = managed else {
            continue;
        };
        if !span.has(*at)
            || subresource == "status"
            || with_creation(managed, created, maker)
            || is_routine(kind, manager)
        {
            continue;
        }
        let paths = fields::owned(fields_v1);
        if paths.is_empty() {
            continue;
        }
        if subresource == "scale" || paths == ["spec.replicas"] {
            let now = replicas.map_or_else(String::new, |count| format!(", spec.replicas is now {count}"));
            add(*at, Sort::Scaled, scaler(manager), format!("scaled{now}"));
        } else {
            add(*at, Sort::Written, manager, fields::words(&paths));
        }
    }
    entries
}

/// Whose write is the oldest that came with the creation.
fn maker(meta: &Meta) -> Option<&str> {
    let soon = |managed: &&Managed| since_creation(managed, meta.creation_timestamp).is_some();
    let first = meta.managed_fields.iter().filter(soon).min_by_key(|managed| managed.time);
    first.map(|managed| managed.manager.as_str())
}

fn with_creation(managed: &Managed, created: Option<Timestamp>, maker: Option<&str>) -> bool {
    since_creation(managed, created)
        .is_some_and(|seconds| seconds <= 0 || maker == Some(managed.manager.as_str()))
}

/// Seconds, of a write to the object itself that came soon after its creation.
fn since_creation(managed: &Managed, created: Option<Timestamp>) -> Option<i64> {
    let seconds = managed.time?.as_second() - created?.as_second();
    (managed.subresource.is_empty() && seconds <= WITH_CREATION_SECONDS).then_some(seconds)
}

/// Of what these write to an object beside its status, nothing is a change that a person or tool made.
fn is_routine(kind: &str, manager: &str) -> bool {
    match kind {
        "Node" => ["kubelet", "kube-controller-manager", "cloud-controller-manager"].contains(&manager),
        "Service" => manager == "cloud-controller-manager",
        "PersistentVolumeClaim" => {
            ["kube-controller-manager", "kube-scheduler", "csi-provisioner"].contains(&manager)
        }
        "Namespace" => manager == "kube-controller-manager",
        "CustomResourceDefinition" | "APIService" => manager == "kube-apiserver",
        _ => false,
    }
}

/// The autoscaler is a part of this one.
fn scaler(manager: &str) -> &str {
    if manager == "kube-controller-manager" { "autoscaler (kube-controller-manager)" } else { manager }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{Entry, Meta, Sort, Span, entries};

    fn told(kind: &str, metadata: serde_json::Value) -> Vec<(Sort, String, String)> {
        let meta: Meta = serde_json::from_value(metadata).unwrap();
        let span = Span {
            from: "2026-01-01T10:00:00Z".parse().unwrap(),
            to: "2026-01-01T11:00:00Z".parse().unwrap(),
        };
        let entries = entries(kind, &meta, Some(3), span);
        entries.into_iter().map(|Entry { sort, by, what, .. }| (sort, by, what)).collect()
    }

    #[test]
    fn a_write_is_told_with_its_manager_and_fields() {
        let managed = |manager: &str, time: &str, subresource: &str, fields: serde_json::Value| {
            json!({ "manager": manager, "operation": "Update", "time": time, "subresource": subresource,
                    "fieldsType": "FieldsV1", "fieldsV1": fields })
        };
        let told = told(
            "ConfigMap",
            json!({ "name": "settings", "creationTimestamp": "2026-01-01T08:00:00Z",
            "managedFields": [
                managed("kubectl-edit", "2026-01-01T10:30:00Z", "", json!({ "f:data": { "f:LEVEL": {} } })),
                managed("helm", "2026-01-01T08:00:01Z", "", json!({ "f:data": { "f:MODE": {} } })),
                managed("watcher", "2026-01-01T10:40:00Z", "status", json!({ "f:status": {} })),
                managed("watcher", "2026-01-01T10:40:00Z", "", json!({ "f:metadata": { "f:finalizers": {} } })),
                managed("kubectl", "2026-01-01T10:50:00Z", "scale", json!({ "f:spec": { "f:replicas": {} } }))] }),
        );
        assert_eq!(
            told,
            [
                (Sort::Written, "kubectl-edit".to_owned(), "changed data.LEVEL".to_owned()),
                (Sort::Scaled, "kubectl".to_owned(), "scaled, spec.replicas is now 3".to_owned()),
            ]
        );
    }

    #[test]
    fn a_creation_is_one_entry() {
        let told = told(
            "Deployment",
            json!({ "name": "web", "creationTimestamp": "2026-01-01T10:00:05Z",
            "managedFields": [{ "manager": "helm", "operation": "Update", "time": "2026-01-01T10:00:06Z",
                                "fieldsV1": { "f:spec": { "f:replicas": {} } } },
                              { "manager": "anna", "operation": "Update", "time": "2026-01-01T10:00:07Z",
                                "fieldsV1": { "f:spec": { "f:paused": {} } } }] }),
        );
        let anna = (Sort::Written, "anna".to_owned(), "changed spec.paused".to_owned());
        assert_eq!(told, [(Sort::Created, "helm".to_owned(), "created".to_owned()), anna]);
        let born = json!({ "name": "kube-root-ca.crt", "creationTimestamp": "2026-01-01T10:00:05Z" });
        assert!(self::told("ConfigMap", born).is_empty());
    }
}
