//! The ServiceMonitor by which a Prometheus finds the server's metrics.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::json;

use super::{
    labels,
    pod::{METRICS_PORT_NAME, PORT_NAME},
};
use crate::operator::mcp_server::{
    owned,
    validate::{Measured, Monitor, Owner},
};

pub(super) fn build(
    owner: &Owner,
    metrics: &Measured,
    monitor: &Monitor,
    child_labels: &BTreeMap<String, String>,
) -> DynamicObject {
    let Monitor { path, interval, labels: further, namespace } = monitor;
    let mut all = further.clone();
    all.extend(child_labels.clone());
    let port = if metrics.port.is_some() { METRICS_PORT_NAME } else { PORT_NAME };
    DynamicObject {
        types: None,
        metadata: metadata(owner, namespace.as_deref(), &all),
        data: json!({"spec": {
            "selector": {"matchLabels": labels::matching(&owner.name.name)},
            "namespaceSelector": {"matchNames": [owner.name.namespace]},
            "endpoints": [{"port": port, "path": path, "interval": interval.to_string()}],
        }}),
    }
}

/// An owner in another namespace cannot be referred to: an annotation names it.
fn metadata(owner: &Owner, namespace: Option<&str>, labels: &BTreeMap<String, String>) -> ObjectMeta {
    let own = labels::metadata(owner, labels);
    match namespace.filter(|namespace| *namespace != owner.name.namespace) {
        None => own,
        Some(namespace) => ObjectMeta {
            name: Some(format!("{}-{}", owner.name.namespace, owner.name.name)),
            namespace: Some(namespace.to_owned()),
            owner_references: None,
            annotations: Some(BTreeMap::from([owned::note(owner)])),
            ..own
        },
    }
}
