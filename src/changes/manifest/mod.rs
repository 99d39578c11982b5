//! From a live object to the manifest that a person would have written: without what the cluster adds. Pure.
//!
//! What the API server fills in is taken out only where it is known ([`defaults`]) and stands there exactly so; what is
//! not known stays, which is longer and never wrong.

mod defaults;

use serde_json::{Map, Value};

use crate::redact;

/// Why there is no manifest of an object; a part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::changes) enum NoManifest {
    #[error("{0} holds secrets, which no pull request may carry: bring it to Git sealed, or delete it")]
    Secret(String),
    #[error("it is made by {0}, which would make it again")]
    Owned(String),
    #[error("what was read of it is no object")]
    NoObject,
}

/// Of `metadata`, what the cluster writes.
const OF_THE_CLUSTER: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// Annotations that the cluster or a client writes about the object.
const NOISE: [&str; 3] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
];
/// And all that begin so.
const NOISE_OF: [&str; 4] = [
    "pv.kubernetes.io/",
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "control-plane.alpha.kubernetes.io/",
];

/// # Errors
/// When it holds what looks like a secret, or another object makes it.
pub(in crate::changes) fn manifest(live: &Value) -> Result<Value, NoManifest> {
    let kind = live["kind"].as_str().unwrap_or_default();
    if kind.eq_ignore_ascii_case("Secret") {
        return Err(NoManifest::Secret("a Secret".to_owned()));
    }
    if let Some(owner) = live["metadata"]["ownerReferences"].as_array().and_then(|owners| owners.first()) {
        let text = |key: &str| owner[key].as_str().unwrap_or_default();
        return Err(NoManifest::Owned(format!("{} {}", text("kind"), text("name"))));
    }
    let Value::Object(fields) = live else { return Err(NoManifest::NoObject) };
    let mut whole: Map<String, Value> = Map::new();
    // As people write them: what it is, who it is, what it says.
    for key in ["apiVersion", "kind", "metadata"] {
        whole.extend(fields.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    for (key, value) in fields.iter().filter(|(key, _)| !has_its_place(key)) {
        whole.insert(key.clone(), value.clone());
    }
    let mut made = Value::Object(whole);
    if let Some(metadata) = made["metadata"].as_object_mut() {
        clean(metadata);
    }
    defaults::take_out(&mut made);
    let mut without_secrets = made.clone();
    redact::value(&mut without_secrets);
    if without_secrets != made {
        return Err(NoManifest::Secret("it".to_owned()));
    }
    Ok(made)
}

fn has_its_place(key: &str) -> bool {
    matches!(key, "apiVersion" | "kind" | "metadata" | "status")
}

fn clean(metadata: &mut Map<String, Value>) {
    metadata.retain(|key, _| !OF_THE_CLUSTER.contains(&key.as_str()));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| {
            !NOISE.contains(&key.as_str()) && !NOISE_OF.iter().any(|prefix| key.starts_with(prefix))
        });
    }
    metadata.retain(|_, value| !is_empty(value));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{NoManifest, manifest};

    /// As an API server 1.34 answers `kubectl create deployment web --image=nginx:1.27 --port=80`.
    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "annotations": { "deployment.kubernetes.io/revision": "1", "team": "shop" },
                "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1, "labels": { "app": "web" },
                "managedFields": [{ "manager": "kubectl-create" }], "name": "web", "namespace": "shop",
                "resourceVersion": "42", "uid": "u-1"
            },
            "spec": {
                "progressDeadlineSeconds": 600, "replicas": 2, "revisionHistoryLimit": 10,
                "selector": { "matchLabels": { "app": "web" } },
                "strategy": { "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" },
                    "type": "RollingUpdate" },
                "template": {
                    "metadata": { "creationTimestamp": null, "labels": { "app": "web" } },
                    "spec": {
                        "containers": [{
                            "image": "nginx:1.27", "imagePullPolicy": "IfNotPresent", "name": "nginx",
                            "ports": [{ "containerPort": 80, "protocol": "TCP" }], "resources": {},
                            "livenessProbe": { "httpGet": { "path": "/", "port": 80, "scheme": "HTTP" },
                                "failureThreshold": 3, "periodSeconds": 20, "successThreshold": 1,
                                "timeoutSeconds": 1 },
                            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"
                        }],
                        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
                        "schedulerName": "default-scheduler", "securityContext": {},
                        "terminationGracePeriodSeconds": 30,
                        "volumes": [{ "name": "c", "configMap": { "name": "web", "defaultMode": 420 } }]
                    }
                }
            },
            "status": { "replicas": 2 }
        })
    }

    #[test]
    fn what_is_left_is_what_a_person_would_have_written() {
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "annotations": { "team": "shop" }, "labels": { "app": "web" }, "name": "web",
                "namespace": "shop" },
            "spec": {
                "replicas": 2, "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": {
                        "containers": [{ "image": "nginx:1.27", "name": "nginx",
                            "ports": [{ "containerPort": 80 }],
                            "livenessProbe": { "httpGet": { "path": "/", "port": 80 }, "periodSeconds": 20 } }],
                        "volumes": [{ "name": "c", "configMap": { "name": "web" } }]
                    }
                }
            }
        });
        assert_eq!(manifest(&deployment()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_default_stays() {
        let mut live = deployment();
        live["spec"]["revisionHistoryLimit"] = json!(3);
        live["spec"]["strategy"]["type"] = json!("Recreate");
        let made = manifest(&live).unwrap();
        assert_eq!(made["spec"]["revisionHistoryLimit"], 3);
        assert_eq!(made["spec"]["strategy"], live["spec"]["strategy"]);
    }

    #[test]
    fn a_service_keeps_what_was_asked_and_not_its_address() {
        let live = json!({ "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "web", "namespace": "shop", "uid": "u" },
            "spec": { "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
                "type": "ClusterIP", "selector": { "app": "web" },
                "ports": [{ "port": 80, "protocol": "TCP", "targetPort": 80 }, { "port": 90, "targetPort": 91 }] },
            "status": { "loadBalancer": {} } });
        let expected = json!({ "selector": { "app": "web" },
            "ports": [{ "port": 80 }, { "port": 90, "targetPort": 91 }] });
        assert_eq!(manifest(&live).unwrap()["spec"], expected);
        let mut headless = live;
        headless["spec"]["clusterIP"] = json!("None");
        headless["spec"]["clusterIPs"] = json!(["None"]);
        assert_eq!(manifest(&headless).unwrap()["spec"]["clusterIP"], "None");
    }

    #[test]
    fn secrets_and_what_others_make_have_no_manifest() {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "x" } });
        assert!(matches!(manifest(&secret), Err(NoManifest::Secret(_))));
        let mut with_one = deployment();
        with_one["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{ "name": "DB_PASSWORD", "value": "hunter2-hunter2" }]);
        let refused = manifest(&with_one).unwrap_err().to_string();
        assert!(refused.contains("secret") && !refused.contains("hunter2"), "{refused}");
        let mut owned = deployment();
        owned["metadata"]["ownerReferences"] = json!([{ "kind": "Shop", "name": "eu" }]);
        assert_eq!(manifest(&owned), Err(NoManifest::Owned("Shop eu".to_owned())));
    }
}
