//! Custom resources and OpenShift's kinds: a bounded number of kinds, and of each a bounded number of objects.

use serde_json::Value;

use super::{Source, source::together};
use crate::cluster::Resource;

const KINDS: usize = 60;
const OF_KIND: usize = 50;
const MOST: usize = 300;
/// Larger objects are somebody's database.
const BYTES: usize = 32 << 10;

pub(super) async fn read(source: &Source<'_>) -> Vec<Value> {
    let is_one_namespace = source.namespace().is_some();
    let mut kinds: Vec<&Resource> = source
        .kinds
        .iter()
        .filter(|kind| is_custom(kind) && kind.can("list"))
        .filter(|kind| if kind.namespaced { !source.is_of_cluster_alone } else { !is_one_namespace })
        .collect();
    kinds.sort_by_key(|kind| (!is_of_openshift(kind), kind.group.clone(), kind.plural.clone()));
    kinds.truncate(KINDS);
    let reads = kinds.into_iter().map(|kind| of_kind(source, kind)).collect();
    let mut all: Vec<Value> = together(reads).await.into_iter().flatten().collect();
    all.truncate(MOST);
    all
}

fn is_of_openshift(kind: &Resource) -> bool {
    kind.group.ends_with(".openshift.io")
}

/// Groups of the API server itself have no dot or end in its own domain; so does the Gateway API, which it does not
/// serve by itself.
fn is_custom(kind: &Resource) -> bool {
    let own = !kind.group.contains('.') || kind.group.ends_with(".k8s.io");
    (!own || kind.group == "gateway.networking.k8s.io") && kind.group != "metrics.k8s.io"
}

async fn of_kind(source: &Source<'_>, kind: &Resource) -> Vec<Value> {
    let mut objects = Vec::new();
    let read = source.list(kind, |object| {
        if objects.len() >= OF_KIND || object.get().len() > BYTES {
            return;
        }
        let Ok(mut object) = serde_json::from_str::<Value>(object.get()) else { return };
        // Items of a list do not say what they are.
        object["kind"] = Value::from(kind.kind.as_str());
        object["apiVersion"] = Value::from(kind.api_version());
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
            metadata.remove("annotations");
        }
        objects.push(object);
    });
    if let Err(error) = read.await {
        tracing::debug!(kind = kind.id(), %error, "custom resources were not read");
    }
    objects
}
