//! What a timeline consists of. Pure values.

use jiff::Timestamp;
use serde::Deserialize;

/// One object, there or gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Thing {
    pub(super) kind: String,
    /// Empty for objects without one.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Thing {
    pub(super) fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// `Deployment web`; with its namespace where several are looked at.
    pub(super) fn words(&self, with_namespace: bool) -> String {
        let Self { kind, namespace, name } = self;
        if with_namespace && !namespace.is_empty() {
            format!("{kind} {namespace}/{name}")
        } else {
            format!("{kind} {name}")
        }
    }
}

/// What sort of change it was; entries that say the same are joined by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Created,
    Deleted,
    /// Its fields were written; all that is known is whose they are.
    Written,
    Scaled,
    /// A new template of pods.
    RolledOut,
    /// By a tool that brings manifests: Helm, Argo CD, Flux.
    Delivered,
    /// A node's condition.
    Condition,
    /// What the cluster reported; a consequence rather than a change.
    Warning,
    /// Another image behind the same name.
    Image,
}

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) thing: Thing,
    pub(super) sort: Sort,
    /// The field manager, or the controller; empty when not known.
    pub(super) by: String,
    /// What happened, with the difference where it is known.
    pub(super) what: String,
}

/// What is unhealthy now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Symptom {
    pub(super) thing: Thing,
    /// When it became so, as far as can be told.
    pub(super) since: Timestamp,
    pub(super) why: String,
}

/// From when to when is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Span {
    pub(super) fn has(&self, at: Timestamp) -> bool {
        // Clocks of a cluster's parts differ by a little.
        at >= self.from && at.as_second() <= self.to.as_second() + 60
    }
}

/// The part of an object's metadata that tells of changes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) creation_timestamp: Option<Timestamp>,
    pub(super) deletion_timestamp: Option<Timestamp>,
    pub(super) labels: std::collections::BTreeMap<String, String>,
    pub(super) annotations: std::collections::BTreeMap<String, String>,
    pub(super) owner_references: Vec<Owner>,
    pub(super) managed_fields: Vec<Managed>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: bool,
}

impl Meta {
    pub(super) fn thing(&self, kind: &str) -> Thing {
        Thing::new(kind, &self.namespace, &self.name)
    }

    pub(super) fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

/// Who wrote which fields, and when last.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Managed {
    pub(super) manager: String,
    pub(super) operation: String,
    pub(super) time: Option<Timestamp>,
    pub(super) subresource: String,
    pub(super) fields_v1: serde_json::Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) last_transition_time: Option<Timestamp>,
}

impl Condition {
    pub(super) fn words(&self) -> String {
        let Self { reason, message, .. } = self;
        match (reason.is_empty(), message.is_empty()) {
            (false, false) => format!("{reason}: {message}"),
            (false, true) => reason.clone(),
            (true, _) => message.clone(),
        }
    }
}
