//! A child as a value of its kind, and how one that exists is compared with one that is meant.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource, ResourceExt,
    core::{ApiResource, DynamicObject, TypeMeta},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{build::fingerprint, kind::Kind};
use crate::api::GROUP;

/// Names the annotations that we set for somebody: when one leaves the spec, it leaves the child.
pub(super) const SET_ANNOTATIONS: &str = "pilothouse.dev/set-annotations";
/// What a Deployment's pods were last told of the objects they refer to; see `rotation.rs`. Not held to.
pub(super) const REFERENCES: &str = "pilothouse.dev/references";

/// A child as it is meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Child {
    pub kind: Kind,
    pub object: DynamicObject,
}

impl Child {
    /// # Errors
    /// When the object cannot be written as JSON.
    pub(super) fn new(kind: Kind, object: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self { kind, object: serde_json::from_value(serde_json::to_value(object)?)? })
    }

    pub(super) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// As the API server knows its kind.
    pub(super) fn served_as(&self, resource: &ApiResource) -> DynamicObject {
        let ApiResource { api_version, kind, .. } = resource;
        let types = TypeMeta { api_version: api_version.clone(), kind: kind.clone() };
        DynamicObject { types: Some(types), ..self.object.clone() }
    }

    /// Hash of what we hold the child that exists to: its fields but for those that others may set, and of its
    /// labels and annotations those that we set.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub(super) fn held_to(&self, live: &DynamicObject) -> Result<String, serde_json::Error> {
        let mut data = live.data.clone();
        if let Some(fields) = data.as_object_mut() {
            fields.remove("status");
        }
        for path in self.kind.set_by_others() {
            take(&mut data, path);
        }
        if let Some(annotations) = template_annotations(&mut data) {
            let meant = template_annotations_of(&self.object.data);
            annotations.retain(|key, _| is_ours(key) || meant.is_some_and(|meant| meant.contains_key(key)));
        }
        let desired = &self.object;
        let labels: BTreeMap<_, _> =
            live.labels().iter().filter(|(key, _)| desired.labels().contains_key(*key)).collect();
        let annotations: BTreeMap<_, _> = live
            .annotations()
            .iter()
            .filter(|(key, _)| {
                key.as_str() != REFERENCES && (is_ours(key) || desired.annotations().contains_key(*key))
            })
            .collect();
        fingerprint(&json!({"labels": labels, "annotations": annotations, "fields": data}))
    }

    /// The update that makes `live` what is meant: exactly that object in exactly that version, or it fails. What
    /// others may set is carried over.
    pub(super) fn onto(&self, live: &DynamicObject) -> DynamicObject {
        let mut update = self.object.clone();
        update.types.clone_from(&live.types);
        for path in self.kind.set_by_others() {
            take(&mut update.data, path);
            if let Some(theirs) = get(&live.data, path) {
                put(&mut update.data, path, theirs.clone());
            }
        }
        // `kubectl rollout restart` notes itself on the pod template: without it the pods would roll once more.
        let theirs = template_annotations_of(&live.data).map(not_ours_of);
        if let (Some(theirs), Some(annotations)) = (theirs, template_annotations(&mut update.data)) {
            for (key, value) in theirs {
                annotations.entry(key).or_insert(value);
            }
        }
        let mut annotations: BTreeMap<_, _> = live.annotations().clone();
        annotations.remove(REFERENCES);
        let listed = annotations.remove(SET_ANNOTATIONS).unwrap_or_default();
        annotations.retain(|key, _| !is_listed(&listed, key));
        annotations.extend(self.object.annotations().clone());
        let metadata = update.meta_mut();
        *metadata = ObjectMeta {
            annotations: Some(annotations),
            uid: live.metadata.uid.clone(),
            resource_version: live.metadata.resource_version.clone(),
            finalizers: live.metadata.finalizers.clone(),
            ..metadata.clone()
        };
        update
    }
}

/// Annotations that we set for somebody, with the list of them.
pub(super) fn listed(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        annotations.iter().filter(|(key, _)| !is_ours(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if !all.is_empty() {
        let keys: Vec<&str> = all.keys().map(String::as_str).collect();
        let keys = keys.join(",");
        all.insert(SET_ANNOTATIONS.to_owned(), keys);
    }
    all
}

fn is_listed(listed: &str, annotation: &str) -> bool {
    listed.split(',').any(|key| key == annotation)
}

fn is_ours(annotation: &str) -> bool {
    annotation.split('/').next() == Some(GROUP)
}

fn not_ours_of(annotations: &Map<String, Value>) -> Map<String, Value> {
    let listed = annotations.get(SET_ANNOTATIONS).and_then(Value::as_str).unwrap_or_default();
    annotations
        .iter()
        .filter(|(key, _)| !is_ours(key) && !is_listed(listed, key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

const TEMPLATE_ANNOTATIONS: [&str; 4] = ["spec", "template", "metadata", "annotations"];

fn template_annotations_of(data: &Value) -> Option<&Map<String, Value>> {
    get(data, &TEMPLATE_ANNOTATIONS)?.as_object()
}

fn template_annotations(data: &mut Value) -> Option<&mut Map<String, Value>> {
    TEMPLATE_ANNOTATIONS.iter().try_fold(data, |value, key| value.get_mut(key))?.as_object_mut()
}

fn get<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn take(value: &mut Value, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(value, |value, key| value.get_mut(key));
    if let Some(fields) = parent.and_then(Value::as_object_mut) {
        fields.remove(*last);
    }
}

fn put(value: &mut Value, path: &[&str], what: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(value, |value, key| value.get_mut(key));
    if let Some(fields) = parent.and_then(Value::as_object_mut) {
        fields.insert((*last).to_owned(), what);
    }
}
