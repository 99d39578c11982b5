//! What a write is, for whoever reads the captured ones.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An object, without its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Empty for the core group.
    pub group: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { group: _, kind, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verb {
    Create,
    Update,
    Delete,
}

/// One field that a write changed; values hold no secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// As `propose_change` takes it: `spec.template.spec.containers[name=web].image`.
    pub path: String,
    /// Absent: the field was not there. Long texts are shown by their length and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Absent: the field is gone. What it is now, in full, the live object says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Who saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Witness {
    Watch,
    Webhook,
    AuditEvent,
}

/// Of a delete there is no version that it made, but an object is deleted only once.
pub const DELETED: &str = "deleted";

/// A write that was stored, as far as its witnesses say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// When the API server stored it, to the second, where it says so; otherwise when we saw it.
    pub at: Timestamp,
    pub object: ObjectRef,
    /// `metadata.uid` and the `resourceVersion` that the write made ([`DELETED`] for a delete); the same write has the
    /// same two.
    pub uid: String,
    pub version: String,
    pub verb: Verb,
    /// Known from webhook and audit events; empty: nobody said. Several when the watch saw several writes as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// The field manager, from the watch: `kubectl-edit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    pub fields: Vec<FieldChange>,
    pub witnesses: Vec<Witness>,
}

impl Write {
    pub fn id(&self) -> WriteId {
        WriteId { uid: self.uid.clone(), version: self.version.clone() }
    }
}

/// What tells one write from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WriteId {
    pub uid: String,
    pub version: String,
}

/// What whoever reads the writes is told. Each write at least once: the same again, by [`Write::id`], after a restart or
/// when another replica leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Somebody wrote past Git.
    Write(Write),
    /// More is known of a write that was told before, such as its user.
    Amended(Write),
    /// A write that was told before turned out to be a GitOps controller's or the system's.
    Excused(Write),
}

impl Seen {
    pub fn write(&self) -> &Write {
        match self {
            Self::Write(write) | Self::Amended(write) | Self::Excused(write) => write,
        }
    }
}

/// How a write came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// A GitOps controller made it.
    Git,
    /// A person, inside an emergency session.
    Session,
    Unsanctioned,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Git, Self::Session, Self::Unsanctioned];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Session => "session",
            Self::Unsanctioned => "unsanctioned",
        }
    }
}
