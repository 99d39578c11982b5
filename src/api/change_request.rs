//! `ChangeRequest`: an intended change of one object, on its way through Git.

// KubeSchema writes a copy of each struct inside a function and calls it `pub`.
#![allow(unreachable_pub)]

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is to change, and why. pilothouse makes these for the callers of `propose_change`; the edits and the reason
/// change when somebody revises it, the rest never does.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "pilothouse.dev",
    version = "v1alpha1",
    kind = "ChangeRequest",
    plural = "changerequests",
    singular = "changerequest",
    shortname = "phcr",
    category = "pilothouse",
    namespaced,
    status = "ChangeRequestStatus",
    derive = "PartialEq",
    doc = "An intended change of one object: it becomes a pull request that a person merges, and is followed until the cluster runs it. Nothing in the cluster is changed by it. It stands in the namespace of its object, and in pilothouse's own where the object has none or pilothouse does not look after it.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.target.kind"),
    printcolumn(name = "Object", type_ = "string", json_path = ".spec.target.name"),
    printcolumn(name = "Requester", type_ = "string", json_path = ".spec.requestedBy"),
    printcolumn(name = "Pull request", type_ = "string", json_path = ".status.pullRequest.url"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec.target == oldSelf.spec.target")
        .message("spec.target cannot change, since the branch and the pull request are about it: make another ChangeRequest"),
    validation = Rule::new("self.spec.requestedBy == oldSelf.spec.requestedBy")
        .message("spec.requestedBy cannot change: whoever wants something else makes another ChangeRequest"),
    validation = Rule::new(
        "has(self.spec.repository) == has(oldSelf.spec.repository) && (!has(self.spec.repository) || self.spec.repository == oldSelf.spec.repository)"
    )
    .message("spec.repository cannot change: make another ChangeRequest"),
    validation = Rule::new(
        "has(self.spec.emergency) == has(oldSelf.spec.emergency) && (!has(self.spec.emergency) || self.spec.emergency == oldSelf.spec.emergency)"
    )
    .message("spec.emergency cannot change: make another ChangeRequest"),
    validation = Rule::new(
        "has(self.spec.revises) == has(oldSelf.spec.revises) && (!has(self.spec.revises) || self.spec.revises == oldSelf.spec.revises)"
    )
    .message("spec.revises cannot change: make another ChangeRequest"),
    validation = Rule::new("has(self.spec.whole) || size(self.spec.edits) > 0")
        .message("spec.edits says nothing: name 1 to 50 fields and their new values"),
    validation = Rule::new(
        "has(self.spec.whole) == has(oldSelf.spec.whole) && (!has(self.spec.whole) || self.spec.whole == oldSelf.spec.whole)"
    )
    .message("spec.whole cannot change: make another ChangeRequest"),
    validation = Rule::new("self.metadata.name.matches('^[0-9a-f]{16}$')")
        .message("metadata.name must be the id of the change, 16 digits of 0-9 and a-f: let propose_change make it, or make it as 0000000000000000 and its status says the id"),
)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRequestSpec {
    /// The object that is to change.
    pub target: ChangeTarget,

    /// What is to change, 1 to 50 fields; none where `whole` is set. A value that is a secret is not kept here: its
    /// place is held by `<redacted:…>`.
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "atomic"))]
    pub edits: Vec<FieldEdit>,

    /// The object as a whole comes into Git or goes out of it, since people made or deleted it in an emergency. Only
    /// pilothouse asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<Whole>,

    /// Why, for the reviewer.
    #[schemars(length(min = 1, max = 4000))]
    pub reason: String,

    /// What shows that it is needed: findings, alerts, links, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 1000)), extend("x-kubernetes-list-type" = "atomic"))]
    pub evidence: Vec<String>,

    /// Who asked, as the cluster knows them. Only pilothouse may name somebody else than itself here.
    #[schemars(length(min = 1, max = 256))]
    pub requested_by: String,

    /// The configured repository, by its name. Default: the one that holds the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub repository: Option<String>,

    /// The EmergencyChange whose changes it brings back into Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub emergency: Option<String>,

    /// The ChangeRequest that was rejected or withdrawn and is taken up again by this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub revises: Option<String>,
}

/// What becomes of an object as a whole.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// Its manifest is added to Git.
    Added,
    /// Its manifest is removed from Git.
    Removed,
}

/// An object of the cluster.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ChangeTarget {
    /// As in its manifest: Deployment.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,

    /// Its API group. Default: any that has the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,

    /// Absent for objects without a namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,

    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl fmt::Display for ChangeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, group: _, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

/// One field and its new value.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FieldEdit {
    /// Such as `spec.template.spec.containers[name=web].resources.limits.memory`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,

    /// The new value; absent: the field is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub new: Option<Value>,
}

fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// How far it has come.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRequestStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The whole in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ChangePhase>,

    /// What happened last and what comes next, one or two sentences.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2000))]
    pub message: String,

    /// Proposed: it is in the repository for review. Approved: somebody who had no hand in it approved it. Merged,
    /// Applied (the cluster has it), Verified (the object is healthy with it). Reachable: the repository can be
    /// asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The configured repository, by its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,

    /// The branch that it is proposed against.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base_branch: String,

    /// The commit of the base branch that it starts from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base_commit: String,

    /// The branch that holds it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub branch: String,

    /// Our newest commit on that branch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,

    /// The id that asking for what it asks now would have: another than its own once it was revised.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub intent: String,

    /// SHA-256 of what the files become, hex: the same again is not pushed again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content: String,

    /// Where a person reviews it; absent where the repository has no pull requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequestRef>,

    /// The files that it changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "atomic"))]
    pub files: Vec<ChangedFile>,

    /// The fields that it changes, with their values in Git before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "atomic"))]
    pub fields: Vec<ChangedField>,

    /// The difference of the files without secrets, cut at 16,000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 17000))]
    pub difference: String,

    /// What decides the fields in the repository: plain manifest, kustomize overlay, Helm values.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub layer: String,

    /// What was checked before it was proposed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "atomic"))]
    pub checks: Vec<ChangeCheck>,

    /// What may go wrong with it, as far as it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2000))]
    pub risk: String,

    /// Who had a hand in what it asks, beside spec.requestedBy: whoever revised it, and in an emergency whoever
    /// opened it or wrote in the cluster. None of them is a second pair of eyes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub asked_by: Vec<String>,

    /// Who approved it, as the forge calls them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "set"))]
    pub approved_by: Vec<String>,

    /// Nobody but those who asked for it approved it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub self_approved: bool,

    /// The commit in the base branch that brought it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub merged_commit: String,

    /// When it reached each phase.
    #[serde(default)]
    pub times: ChangeTimes,

    /// How often it was revised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: i32,

    /// Where the field is set in Git is not known: the pull request holds a proposal that a person must put in its
    /// place.
    #[serde(default, skip_serializing_if = "is_false")]
    pub needs_human_mapping: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

/// A pull request, or merge request.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct PullRequestRef {
    /// Its number in the repository.
    pub number: i64,

    /// Where a person reviews it.
    pub url: String,
}

/// A file that is changed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    /// In the repository.
    pub path: String,

    /// The lines that are changed, counted from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub lines: Vec<i32>,
}

/// A field that is changed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct ChangedField {
    /// As in spec.edits.
    pub path: String,

    /// Absent: it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub before: Option<Value>,

    /// Absent: it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub after: Option<Value>,
}

/// One thing that was checked.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct ChangeCheck {
    /// What was checked: render, schema, policies, dry-run.
    pub name: String,

    /// What came of it.
    pub outcome: CheckOutcome,

    /// In a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2000))]
    pub said: String,
}

/// What came of a check.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    Passed,
    Failed,
    /// It could not be made here; `said` says why.
    NotRun,
}

/// When a phase was reached.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct ChangeTimes {
    /// It was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drafted: Option<Time>,

    /// It was put up for review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Time>,

    /// It was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Time>,

    /// It was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Time>,

    /// The cluster was seen with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Time>,

    /// The object was seen healthy with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Time>,

    /// It was rejected, withdrawn, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
}

/// How far it has come, in one word.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangePhase {
    /// Written down; the repository does not have it yet.
    Drafted,
    /// In the repository, for a person to review.
    Proposed,
    /// Somebody who had no hand in it approved it.
    Approved,
    /// In the base branch.
    Merged,
    /// The cluster has it.
    Applied,
    /// The cluster has it, and the object is healthy.
    Verified,
    /// A person closed it without merging.
    Rejected,
    /// The requester took it back, or its branch is gone.
    Withdrawn,
    /// It cannot go on; the message says why, and what to do.
    Failed,
}

impl ChangePhase {
    pub const ALL: [Self; 9] = [
        Self::Drafted,
        Self::Proposed,
        Self::Approved,
        Self::Merged,
        Self::Applied,
        Self::Verified,
        Self::Rejected,
        Self::Withdrawn,
        Self::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drafted => "Drafted",
            Self::Proposed => "Proposed",
            Self::Approved => "Approved",
            Self::Merged => "Merged",
            Self::Applied => "Applied",
            Self::Verified => "Verified",
            Self::Rejected => "Rejected",
            Self::Withdrawn => "Withdrawn",
            Self::Failed => "Failed",
        }
    }

    /// Whether it takes one of the places for open requests of its repository.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Drafted | Self::Proposed | Self::Approved)
    }
}

impl fmt::Display for ChangePhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The conditions a ChangeRequest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeCondition {
    Proposed,
    Approved,
    Merged,
    Applied,
    Verified,
    Reachable,
}

impl ChangeCondition {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "Proposed",
            Self::Approved => "Approved",
            Self::Merged => "Merged",
            Self::Applied => "Applied",
            Self::Verified => "Verified",
            Self::Reachable => "Reachable",
        }
    }
}

impl fmt::Display for ChangeCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
