//! What is kept of an object to see what the next write changes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    content::{content, fingerprint},
    fields,
    scope::WatchedKind,
    write::ObjectRef,
};

/// One state of an object: what people wrote of it, and who wrote when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot {
    pub(super) object: ObjectRef,
    pub(super) uid: String,
    pub(super) version: String,
    pub(super) created: Option<Timestamp>,
    /// Since when it is being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) leaving: Option<Timestamp>,
    pub(super) hands: Vec<Hand>,
    /// As [`content`] gives it, as text: a tenth of what the parsed value takes.
    pub(super) text: Box<str>,
    /// Of the content with its secrets.
    pub(super) fingerprint: String,
    /// A controller owns it: it is written by that, or put back by it, and not followed.
    #[serde(skip)]
    pub(super) is_owned: bool,
    /// It was read from the data folder: `text` was redacted by an earlier process.
    #[serde(skip)]
    pub(super) was_stored: bool,
}

/// An entry of `managedFields`, without the fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Hand {
    #[serde(default)]
    pub(super) manager: Box<str>,
    #[serde(default)]
    operation: Box<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    subresource: Box<str>,
    #[serde(default)]
    pub(super) time: Option<Timestamp>,
}

/// Why an object of the API server is none that can be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it has no name, uid or resourceVersion")]
    Nameless,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    uid: String,
    resource_version: String,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    managed_fields: Vec<Hand>,
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default)]
    controller: bool,
}

impl Snapshot {
    /// # Errors
    /// When it is no object.
    pub(super) fn parse(kind: &WatchedKind, text: &str) -> Result<Self, Unread> {
        let object: Value = serde_json::from_str(text)?;
        Self::of(&kind.group, &kind.kind, &object)
    }

    /// # Errors
    /// As [`Self::parse`].
    pub(super) fn of(group: &str, kind: &str, object: &Value) -> Result<Self, Unread> {
        let metadata = Metadata::deserialize(&object["metadata"])?;
        let Metadata {
            name,
            namespace,
            uid,
            resource_version,
            creation_timestamp,
            deletion_timestamp,
            managed_fields,
            owner_references,
        } = metadata;
        if name.is_empty() || uid.is_empty() || resource_version.is_empty() {
            return Err(Unread::Nameless);
        }
        let text = content(object).to_string();
        Ok(Self {
            object: ObjectRef { group: group.to_owned(), kind: kind.to_owned(), namespace, name },
            uid,
            version: resource_version,
            created: creation_timestamp,
            leaving: deletion_timestamp,
            hands: managed_fields,
            fingerprint: fingerprint(&text),
            text: text.into_boxed_str(),
            is_owned: owner_references.iter().any(|owner| owner.controller),
            was_stored: false,
        })
    }

    pub(super) fn content(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// As it may be stored: without the secrets in it.
    pub(super) fn redacted(&self) -> Self {
        if self.was_stored {
            return self.clone();
        }
        let text = fields::shown(&self.object.kind, &self.content()).to_string();
        Self { text: text.into_boxed_str(), ..self.clone() }
    }

    /// The managers that wrote between `before` and this, the latest last: whoever writes gets a new time there. Writes
    /// of the status do not count.
    pub(super) fn wrote_since(&self, before: &Self) -> Vec<&Hand> {
        let mut hands: Vec<&Hand> = self
            .hands
            .iter()
            .filter(|hand| &*hand.subresource != "status" && !before.hands.contains(hand))
            .collect();
        hands.sort_by_key(|hand| hand.time);
        hands
    }

    /// The latest hand of all that write more than the status.
    pub(super) fn latest(&self) -> Option<&Hand> {
        self.hands.iter().filter(|hand| &*hand.subresource != "status").max_by_key(|hand| hand.time)
    }

    /// Bytes that it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let hand = |hand: &Hand| {
            size_of::<Hand>() + hand.manager.len() + hand.operation.len() + hand.subresource.len()
        };
        let ObjectRef { group, kind, namespace, name } = &self.object;
        let named = group.len() + kind.len() + namespace.as_ref().map_or(0, String::len) + name.len();
        let texts = self.uid.len() + self.version.len() + self.fingerprint.len() + self.text.len();
        size_of::<Self>() + named + texts + self.hands.iter().map(hand).sum::<usize>()
    }
}
