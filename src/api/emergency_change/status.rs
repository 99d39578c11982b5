//! What became of an emergency. Everything that must survive a restart stands here: deadlines as moments, and what
//! was captured.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EmergencyTarget, omit};

/// How far it has come.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EmergencyChangeStatus {
    /// The whole in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<EmergencyPhase>,

    /// How it stands and what comes next, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,

    /// When it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,

    /// Who confirmed it as the second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmation>,

    /// Since when changes in its scope belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_from: Option<Time>,

    /// Who asked for it to be closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_asked: Option<Confirmation>,

    /// When it was closed: from then on it is brought back to Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Time>,

    /// When it ended without ever being active, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapsed: Option<Confirmation>,

    /// What must be done by when.
    #[serde(default)]
    pub deadlines: Deadlines,

    /// What was written, one entry an object, at most 100; each write stands in the audit record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "atomic"))]
    pub captured: Vec<Captured>,

    /// Number of captured writes, those that found no place in the list included.
    #[serde(default)]
    pub writes: i32,

    /// Objects or fields that found no place in the list: they stand in the audit record alone.
    #[serde(default)]
    pub left_out: i32,

    /// The change requests that bring it back to Git.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "atomic"))]
    pub change_requests: Vec<String>,

    /// What GitOps does to objects of its scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "atomic"))]
    pub gitops: Vec<GitOpsStand>,

    /// The review that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Review>,

    /// Deadlines that were not kept; they stay when it is made good later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub breaches: Vec<Breach>,

    /// Accepted: False where it was not opened with open_emergency, so nothing is covered by it. Reconciled: Git holds
    /// what was changed, or it is undone. DeadlinesKept: False once one was broken. GitOpsResumed: False while a pause
    /// is on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The whole in one word.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EmergencyPhase {
    /// Asked for; the second person has not confirmed it.
    Requested,
    /// Confirmed; what GitOps would do is being looked at.
    Validated,
    /// Changes in its scope are part of it.
    Active,
    /// Its time is over or it was asked to be closed; what was written is still being gathered.
    Capturing,
    /// What was written is known, and is being brought back to Git.
    Closed,
    /// Every change that is still in the cluster is proposed to Git.
    PullRequestOpened,
    /// Git holds what was changed.
    Merged,
    /// What was changed is undone in the cluster; nothing was left for Git.
    Reverted,
    /// A person has reviewed it: the end.
    Reviewed,
    /// A deadline was broken and what it was for is not done.
    Breached,
    /// It was never confirmed, and is over.
    Lapsed,
}

impl EmergencyPhase {
    pub const ALL: [Self; 11] = [
        Self::Requested,
        Self::Validated,
        Self::Active,
        Self::Capturing,
        Self::Closed,
        Self::PullRequestOpened,
        Self::Merged,
        Self::Reverted,
        Self::Reviewed,
        Self::Breached,
        Self::Lapsed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "Requested",
            Self::Validated => "Validated",
            Self::Active => "Active",
            Self::Capturing => "Capturing",
            Self::Closed => "Closed",
            Self::PullRequestOpened => "PullRequestOpened",
            Self::Merged => "Merged",
            Self::Reverted => "Reverted",
            Self::Reviewed => "Reviewed",
            Self::Breached => "Breached",
            Self::Lapsed => "Lapsed",
        }
    }

    /// Nothing comes after it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Reviewed | Self::Lapsed)
    }
}

/// Who said so, and when.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Confirmation {
    /// User name, or what it was that ended it.
    #[schemars(length(max = 512))]
    pub by: String,
    /// When it was said.
    pub at: Time,
}

/// What must be done by when; counted from the first write.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Deadlines {
    /// Until when it may be confirmed and, once active, until when changes belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it closes by itself, unless something is written or applied in it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_at: Option<Time>,
    /// Until when the reconciliation must be proposed to Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile_by: Option<Time>,
    /// Until when a person must have reviewed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_by: Option<Time>,
}

/// What was written to one object, its writes taken together.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Captured {
    /// The object that was written.
    pub object: EmergencyTarget,
    /// Its `metadata.uid`.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// What the writes did as a whole.
    pub verb: CapturedVerb,
    /// When it was first written.
    pub first_at: Time,
    /// When it was last written.
    pub last_at: Time,
    /// Who wrote: user names, or `manager NAME` where the user is not known.
    #[schemars(length(max = 20), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub by: Vec<String>,
    /// The versions that the writes made, the newest last, at most 50: by them a write is known again.
    #[schemars(length(max = 50), inner(length(max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub versions: Vec<String>,
    /// Number of writes before those.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub older: i32,
    /// The fields that were changed, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "atomic"))]
    pub fields: Vec<CapturedField>,
    /// It was undone meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverted: Option<Revert>,
    /// How it goes back to Git, once that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<Reconciliation>,
}

/// What writes did to an object as a whole.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapturedVerb {
    Created,
    Updated,
    Deleted,
}

/// A field before the first and after the last write; values as JSON text, without secrets.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CapturedField {
    /// Such as `spec.replicas`.
    #[schemars(length(max = 512))]
    pub path: String,
    /// The value before the first write; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub before: Option<String>,
    /// The value after the last write; absent where it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub after: Option<String>,
}

/// The proof that something was undone.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Revert {
    /// When it was undone, as far as the object says, else when it was seen.
    pub at: Time,
    /// The field manager that wrote the object last.
    #[schemars(length(max = 512))]
    pub by: String,
    /// The version of the object in which it was seen undone; empty when the object is gone.
    #[schemars(length(max = 64))]
    pub version: String,
}

/// How one object's changes go back to Git.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Reconciliation {
    /// How it ended so far.
    pub outcome: Outcome,
    /// The change request, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub change_request: Option<String>,
    /// What is to be known about it, in one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When it came to this.
    pub at: Time,
}

/// How far one object's changes have come.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A change request is open.
    Proposed,
    /// It was merged.
    Merged,
    /// Git holds it already.
    InGit,
    /// The change was undone in the cluster.
    Reverted,
    /// It could not be proposed; it is tried again.
    Failed,
    /// The change request was closed without being merged.
    Declined,
    /// No pull request can say it: a person must bring it to Git or undo it.
    NeedsPerson,
}

/// What GitOps does to objects of the scope.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GitOpsStand {
    /// Who applies them: `Argo CD Application argocd/shop`.
    #[schemars(length(max = 512))]
    pub by: String,
    /// When the emergency was opened, changes by hand would have been undone.
    #[serde(default)]
    pub reverts: bool,
    /// It is paused now.
    #[serde(default)]
    pub paused: bool,
    /// How to pause it, or how to lift the pause.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub advice: String,
}

/// A review by a person who did not take part.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// User name of the reviewer.
    #[schemars(length(max = 512))]
    pub by: String,
    /// When it was reviewed.
    pub at: Time,
    /// What the review found.
    #[schemars(length(max = 4000))]
    pub note: String,
}

/// Which deadline.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    Reconcile,
    Review,
}

impl Deadline {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Review => "review",
        }
    }
}

/// A deadline that was not kept.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Breach {
    /// Which deadline was broken.
    pub deadline: Deadline,
    /// When that was seen.
    pub at: Time,
    /// What was not done, in one sentence.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// It was told by an event and counted.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub escalated: bool,
}

/// The conditions an EmergencyChange has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EmergencyCondition {
    Accepted,
    Reconciled,
    DeadlinesKept,
    GitOpsResumed,
}

impl fmt::Display for EmergencyCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "Accepted",
            Self::Reconciled => "Reconciled",
            Self::DeadlinesKept => "DeadlinesKept",
            Self::GitOpsResumed => "GitOpsResumed",
        })
    }
}
