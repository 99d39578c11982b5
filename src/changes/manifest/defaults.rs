//! What the API server fills in where a manifest says nothing, for the kinds that people write most. A value that is
//! another than the default stays.

use serde_json::{Map, Value, json};

/// Takes the known defaults out of an object.
pub(super) fn take_out(object: &mut Value) {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        of_kind(&kind, spec);
    }
    match kind.as_str() {
        "Pod" => object.get_mut("spec").into_iter().for_each(pod),
        "CronJob" => {
            if let Some(job) = object.pointer_mut("/spec/jobTemplate/spec").and_then(Value::as_object_mut) {
                of_kind("Job", job);
            }
            template(object.pointer_mut("/spec/jobTemplate/spec/template"));
            unborn(object.pointer_mut("/spec/jobTemplate"));
        }
        "ServiceAccount" => {
            // Token Secrets that the cluster made.
            object.as_object_mut().map(|fields| fields.shift_remove("secrets"));
        }
        _ => template(object.pointer_mut("/spec/template")),
    }
    if let Some(claims) = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut) {
        for claim in claims {
            unborn(Some(claim));
            drop_keys(claim, &["status"]);
            drop_equal(&mut claim["spec"], &[("volumeMode", json!("Filesystem"))]);
        }
    }
}

fn of_kind(kind: &str, spec: &mut Map<String, Value>) {
    let defaults: Vec<(&str, Value)> = match kind {
        "Deployment" => vec![
            ("progressDeadlineSeconds", json!(600)),
            ("revisionHistoryLimit", json!(10)),
            (
                "strategy",
                json!({ "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" }, "type": "RollingUpdate" }),
            ),
        ],
        "StatefulSet" => vec![
            ("podManagementPolicy", json!("OrderedReady")),
            ("revisionHistoryLimit", json!(10)),
            ("updateStrategy", json!({ "rollingUpdate": { "partition": 0 }, "type": "RollingUpdate" })),
            (
                "persistentVolumeClaimRetentionPolicy",
                json!({ "whenDeleted": "Retain", "whenScaled": "Retain" }),
            ),
        ],
        "DaemonSet" => vec![
            ("revisionHistoryLimit", json!(10)),
            (
                "updateStrategy",
                json!({ "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 }, "type": "RollingUpdate" }),
            ),
        ],
        "Job" => vec![
            ("backoffLimit", json!(6)),
            ("completionMode", json!("NonIndexed")),
            ("completions", json!(1)),
            ("manualSelector", json!(false)),
            ("parallelism", json!(1)),
            ("podReplacementPolicy", json!("TerminatingOrFailed")),
            ("suspend", json!(false)),
        ],
        "CronJob" => vec![
            ("concurrencyPolicy", json!("Allow")),
            ("failedJobsHistoryLimit", json!(1)),
            ("successfulJobsHistoryLimit", json!(3)),
            ("suspend", json!(false)),
        ],
        "Service" => {
            // What the cluster chose; a headless one was asked for.
            if spec.get("clusterIP").is_some_and(|address| address != "None") {
                spec.shift_remove("clusterIP");
            }
            for key in ["clusterIPs", "healthCheckNodePort"] {
                spec.shift_remove(key);
            }
            if spec.get("ipFamilyPolicy") == Some(&json!("SingleStack")) {
                spec.shift_remove("ipFamilies");
            }
            for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                let same = port["port"].clone();
                drop_equal(port, &[("protocol", json!("TCP")), ("targetPort", same)]);
            }
            vec![
                ("externalTrafficPolicy", json!("Cluster")),
                ("internalTrafficPolicy", json!("Cluster")),
                ("ipFamilyPolicy", json!("SingleStack")),
                ("sessionAffinity", json!("None")),
                ("type", json!("ClusterIP")),
                ("allocateLoadBalancerNodePorts", json!(true)),
            ]
        }
        "PersistentVolumeClaim" => {
            spec.shift_remove("volumeName");
            vec![("volumeMode", json!("Filesystem"))]
        }
        _ => Vec::new(),
    };
    for (key, default) in defaults {
        if spec.get(key) == Some(&default) {
            spec.shift_remove(key);
        }
    }
}

/// A template has no life of its own: its moment of creation is never set.
fn unborn(template: Option<&mut Value>) {
    if let Some(metadata) =
        template.and_then(|template| template.get_mut("metadata")).and_then(Value::as_object_mut)
    {
        metadata.retain(|key, value| key != "creationTimestamp" || !value.is_null());
    }
}

fn template(template: Option<&mut Value>) {
    let Some(template) = template else { return };
    unborn(Some(template));
    if template["spec"]["containers"].is_array() {
        pod(&mut template["spec"]);
    }
}

fn pod(spec: &mut Value) {
    drop_equal(
        spec,
        &[
            ("dnsPolicy", json!("ClusterFirst")),
            ("enableServiceLinks", json!(true)),
            ("preemptionPolicy", json!("PreemptLowerPriority")),
            ("priority", json!(0)),
            ("restartPolicy", json!("Always")),
            ("schedulerName", json!("default-scheduler")),
            ("securityContext", json!({})),
            ("terminationGracePeriodSeconds", json!(30)),
        ],
    );
    // The former name of serviceAccountName, which the API server keeps in step.
    if spec["serviceAccount"] == spec["serviceAccountName"] {
        drop_keys(spec, &["serviceAccount"]);
    }
    for key in ["initContainers", "containers"] {
        for one in spec.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            container(one);
        }
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if let Some(source) = volume.get_mut(source) {
                drop_equal(source, &[("defaultMode", json!(420))]);
            }
        }
        if let Some(path) = volume.get_mut("hostPath") {
            drop_equal(path, &[("type", json!(""))]);
        }
    }
}

fn container(one: &mut Value) {
    let pulled = pulled(one["image"].as_str().unwrap_or_default());
    drop_equal(
        one,
        &[
            ("imagePullPolicy", json!(pulled)),
            ("resources", json!({})),
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
        ],
    );
    for port in one.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        drop_equal(port, &[("protocol", json!("TCP"))]);
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = one.get_mut(key) else { continue };
        drop_equal(
            probe,
            &[
                ("failureThreshold", json!(3)),
                ("periodSeconds", json!(10)),
                ("successThreshold", json!(1)),
                ("timeoutSeconds", json!(1)),
            ],
        );
        if let Some(get) = probe.get_mut("httpGet") {
            drop_equal(get, &[("scheme", json!("HTTP"))]);
        }
    }
    for variable in one.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            drop_equal(field, &[("apiVersion", json!("v1"))]);
        }
    }
}

/// The policy of an image without a word: by its tag.
fn pulled(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    let is_newest = !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    if is_newest { "Always" } else { "IfNotPresent" }
}

fn drop_equal(object: &mut Value, defaults: &[(&str, Value)]) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.retain(|key, value| !defaults.iter().any(|(name, default)| name == key && default == value));
}

fn drop_keys(object: &mut Value, keys: &[&str]) {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
}
