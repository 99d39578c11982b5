//! Pictures from a few lines of YAML, for the tests of the checks.
//!
//! What is not said: namespace `shop`, made an hour ago. Beside the API's kinds: `Event` (`object: {kind, name}`,
//! `reason`, `message`, `minutes` ago), `Secret` (`keys`, `ends`, or `missing: true`), `Log` (`pod`, `lines`).

#![allow(clippy::unwrap_used, clippy::panic)]

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Check;
use crate::tools::diagnose::{
    finding::{Finding, ObjectRef},
    picture::{EventFacts, LogFacts, Picture, Scope, SecretFacts},
};

pub(super) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

pub(super) fn picture(yaml: &str) -> Picture {
    let mut picture = Picture::empty(Scope::Namespace("shop".to_owned()), now());
    for mut object in serde_saphyr::from_multiple::<Value>(yaml).unwrap() {
        let kind = object["kind"].as_str().unwrap().to_owned();
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        let metadata = object["metadata"].as_object_mut().unwrap();
        let namespaced =
            !["Node", "Namespace", "IngressClass", "GatewayClass", "APIService", "ClusterOperator"]
                .contains(&kind.as_str())
                && !kind.starts_with("Cluster")
                && !kind.ends_with("WebhookConfiguration");
        if namespaced {
            metadata.entry("namespace").or_insert(json!("shop"));
        }
        metadata.entry("creationTimestamp").or_insert(json!("2026-01-01T11:00:00Z"));
        add(&mut picture, &kind, object);
    }
    picture
}

fn add(picture: &mut Picture, kind: &str, object: Value) {
    fn typed<T: DeserializeOwned>(object: Value) -> T {
        serde_json::from_value(object).unwrap()
    }
    match kind {
        "Pod" => picture.pods.push(typed(object)),
        "Deployment" => picture.deployments.push(typed(object)),
        "ReplicaSet" => picture.replica_sets.push(typed(object)),
        "StatefulSet" => picture.stateful_sets.push(typed(object)),
        "DaemonSet" => picture.daemon_sets.push(typed(object)),
        "Job" => picture.jobs.push(typed(object)),
        "CronJob" => picture.cron_jobs.push(typed(object)),
        "Service" => picture.services.push(typed(object)),
        "EndpointSlice" => picture.endpoint_slices.push(typed(object)),
        "Ingress" => picture.ingresses.push(typed(object)),
        "NetworkPolicy" => picture.network_policies.push(typed(object)),
        "HorizontalPodAutoscaler" => picture.autoscalers.push(typed(object)),
        "PodDisruptionBudget" => picture.disruption_budgets.push(typed(object)),
        "PersistentVolumeClaim" => picture.claims.push(typed(object)),
        "ConfigMap" => picture.config_maps.push(typed(object)),
        "ServiceAccount" => picture.service_accounts.push(typed(object)),
        "ResourceQuota" => picture.quotas.push(typed(object)),
        "LimitRange" => picture.limit_ranges.push(typed(object)),
        "Role" => picture.roles.push(typed(object)),
        "RoleBinding" => picture.role_bindings.push(typed(object)),
        "Namespace" => picture.namespaces.push(typed(object)),
        "Node" => picture.nodes.push(typed(object)),
        "IngressClass" => picture.ingress_classes.push(typed(object)),
        "ClusterRole" => picture.cluster_roles.push(typed(object)),
        "ClusterRoleBinding" => picture.cluster_role_bindings.push(typed(object)),
        "ValidatingWebhookConfiguration" => picture.validating_webhooks.push(typed(object)),
        "MutatingWebhookConfiguration" => picture.mutating_webhooks.push(typed(object)),
        "APIService" => picture.api_services.push(typed(object)),
        "Event" => picture.events.push(event(&object)),
        "Secret" => {
            let key = ("shop".to_owned(), object["metadata"]["name"].as_str().unwrap().to_owned());
            picture.secrets.insert(key, secret(&object));
        }
        "Log" => picture.logs.push(LogFacts {
            namespace: "shop".to_owned(),
            pod: object["pod"].as_str().unwrap().to_owned(),
            container: "main".to_owned(),
            previous: false,
            lines: object["lines"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap().to_owned())
                .collect(),
        }),
        _ => picture.custom.push(object),
    }
}

fn event(object: &Value) -> EventFacts {
    let of = &object["object"];
    let (kind, name) = (of["kind"].as_str().unwrap(), of["name"].as_str().unwrap());
    let minutes = object["minutes"].as_i64().unwrap_or(1);
    EventFacts {
        object: ObjectRef::new(kind, of["namespace"].as_str().unwrap_or("shop"), name),
        uid: String::new(),
        is_warning: true,
        reason: object["reason"].as_str().unwrap().to_owned(),
        message: object["message"].as_str().unwrap().to_owned(),
        count: 3,
        last: Some(Timestamp::from_second(now().as_second() - 60 * minutes).unwrap()),
    }
}

fn secret(object: &Value) -> SecretFacts {
    if object["missing"] == true {
        return SecretFacts::Missing;
    }
    let keys =
        object["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    SecretFacts::There { keys, certificate_ends: object["ends"].as_str().map(|ends| ends.parse().unwrap()) }
}

/// What `check` finds in the picture of this YAML.
pub(super) fn findings(check: Check, yaml: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    check(&picture(yaml), &mut findings);
    findings
}

/// The same, in short: `ServicePortWrong Service shop/web`.
pub(super) fn found(check: Check, yaml: &str) -> Vec<String> {
    findings(check, yaml).iter().map(|found| format!("{:?} {}", found.cause, found.object.words())).collect()
}
