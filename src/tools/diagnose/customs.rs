//! Custom resources and OpenShift's kinds, which a picture has as plain values.

use jiff::Timestamp;
use serde_json::Value;

use super::{finding::ObjectRef, picture::Picture, selecting::Labels};

/// Those of this API group and kind, whatever their version.
pub(super) fn of<'a>(picture: &'a Picture, group: &'a str, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    picture.custom.iter().filter(move |value| value["kind"] == kind && group_of(value) == group)
}

/// Empty for the core group.
pub(super) fn group_of(value: &Value) -> &str {
    text(value, "/apiVersion").split_once('/').map_or("", |(group, _)| group)
}

pub(super) fn reference(value: &Value) -> ObjectRef {
    ObjectRef::new(text(value, "/kind"), text(value, "/metadata/namespace"), text(value, "/metadata/name"))
}

/// The text at this JSON pointer; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The items of the list at this JSON pointer.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Labels of the pods that a custom workload (a Rollout, a DeploymentConfig) makes.
pub(super) fn template_labels(value: &Value) -> Option<Labels> {
    let labels = value.pointer("/spec/template/metadata/labels")?.as_object()?;
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    Some(labels.iter().filter_map(text).collect())
}

/// One condition as most kinds write them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition<'a> {
    pub(super) kind: &'a str,
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
    pub(super) since: Option<Timestamp>,
    /// Of the generation it speaks of; a status without one speaks of what is there now.
    generation: Option<i64>,
}

impl Condition<'_> {
    /// `Reason: message`, as far as they are there.
    pub(super) fn words(&self) -> String {
        match (self.reason, self.message) {
            (reason, "") => reason.to_owned(),
            ("", message) => message.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }

    /// For how many whole seconds it has been so; very long where it does not say.
    pub(super) fn seconds(&self, now: Timestamp) -> i64 {
        self.since.map_or(i64::MAX, |since| now.as_second() - since.as_second())
    }

    /// It speaks of an older wish than the one that `value` holds now.
    pub(super) fn is_stale(&self, value: &Value) -> bool {
        let now = value.pointer("/metadata/generation").and_then(Value::as_i64);
        matches!((self.generation, now), (Some(seen), Some(now)) if seen < now)
    }
}

/// The conditions at this JSON pointer, `/status/conditions` mostly.
pub(super) fn conditions<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = Condition<'a>> {
    list(value, pointer).iter().map(|condition| Condition {
        kind: text(condition, "/type"),
        status: text(condition, "/status"),
        reason: text(condition, "/reason"),
        message: text(condition, "/message"),
        since: text(condition, "/lastTransitionTime").parse().ok(),
        generation: condition.get("observedGeneration").and_then(Value::as_i64),
    })
}
