//! What people write to the cluster past Git, seen from three sides: the watch, the webhook, the API server's own
//! record. What the sources say is joined into [`Write`]s; who asked for them is `emergency`'s to say.

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
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

/// A write that was stored, as far as its witnesses say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    pub at: Timestamp,
    pub object: ObjectRef,
    /// `metadata.uid` and the `resourceVersion` that the write made; the same write has the same two.
    pub uid: String,
    pub version: String,
    pub verb: Verb,
    /// Known from webhook and audit events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The field manager, from the watch: `kubectl-edit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    pub fields: Vec<FieldChange>,
    pub witnesses: Vec<Witness>,
}
