//! `EmergencyChange`: a recorded session in which people change the cluster past Git, or a record of writes that
//! happened without one.

// KubeSchema writes a copy of each struct inside a function and calls it `pub`.
#![allow(unreachable_pub)]

mod status;

pub use status::{
    Breach, Captured, CapturedField, CapturedVerb, Confirmation, Deadline, Deadlines, EmergencyChangeStatus,
    EmergencyCondition, EmergencyPhase, GitOpsStand, Outcome, Reconciliation, Revert, Review,
};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, omit, rules};

/// Who asked for what, and why; never changed once it is made.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "pilothouse.dev",
    version = "v1alpha1",
    kind = "EmergencyChange",
    plural = "emergencychanges",
    singular = "emergencychange",
    shortname = "phec",
    category = "pilothouse",
    namespaced,
    status = "EmergencyChangeStatus",
    derive = "PartialEq",
    doc = "A recorded emergency: people change the cluster past Git within a scope and a time, what they write is captured, and a pull request brings it back to Git. Made by open_emergency; writes that nobody opened an emergency for are recorded as unsanctioned.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Incident", type_ = "string", json_path = ".spec.incident"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.requestedBy"),
    printcolumn(name = "Unsanctioned", type_ = "boolean", json_path = ".spec.unsanctioned"),
    printcolumn(name = "Reconcile-By", type_ = "string", json_path = ".status.deadlines.reconcileBy"),
    printcolumn(name = "Review-By", type_ = "string", json_path = ".status.deadlines.reviewBy", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("spec says what was asked for and never changes: open another emergency with open_emergency"),
    validation = Rule::new(
        "self.spec.unsanctioned || (has(self.spec.incident) && has(self.spec.severity) && has(self.spec.reason) && has(self.spec.secondPerson))"
    )
    .message("spec needs incident, severity, reason and secondPerson: open it with open_emergency, which asks for them"),
    validation = Rule::new("!has(self.spec.secondPerson) || self.spec.secondPerson != self.spec.requestedBy")
        .message("spec.secondPerson is the one who asks: name another person, who confirms it with their own identity"),
)]
#[serde(rename_all = "camelCase")]
pub struct EmergencyChangeSpec {
    /// It records writes that no emergency covered; nobody asked for it.
    #[serde(default)]
    pub unsanctioned: bool,

    /// The incident that it belongs to, as the incident tool calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub incident: String,

    /// One of the severities that the installation lets emergencies be opened for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub severity: String,

    /// Why it cannot wait for a pull request, in the words of whoever asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4000))]
    pub reason: String,

    /// User name of whoever asked; of an unsanctioned record, who wrote, or the field manager where the user is not
    /// known.
    #[schemars(length(max = 512))]
    pub requested_by: String,

    /// User name of the other person, who must confirm it before it is active.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub second_person: String,

    /// What may be changed in it.
    #[serde(default, skip_serializing_if = "omit::default")]
    pub scope: EmergencyScope,

    /// How long it is active, from 1s to 1h.
    #[serde(default = "default_budget")]
    #[x_kube(validation = rules::span("spec.budget", "1s", "1h"))]
    pub budget: Span,

    /// The changes that are meant to be made, numbered from 1; apply_emergency_change applies no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub expected: Vec<ExpectedChange>,
}

fn default_budget() -> Span {
    Span::minutes(30)
}

/// What may be changed: the named objects, and everything of these kinds in these namespaces.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EmergencyScope {
    /// Namespaces in which objects may be changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub namespaces: Vec<String>,

    /// Only these kinds in these namespaces, such as `Deployment` or `Rollout.argoproj.io`. Default: all that the
    /// installation does not forbid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub kinds: Vec<String>,

    /// Single objects, in any namespace or in none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "atomic"))]
    pub objects: Vec<EmergencyTarget>,
}

/// One object.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct EmergencyTarget {
    /// Its kind, with its group where that is needed to tell it apart: `Deployment`, `Rollout.argoproj.io`.
    #[schemars(length(max = 253))]
    pub kind: String,

    /// Its namespace; absent for a kind without namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,

    /// Its name in the cluster.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// A change that is meant to be made.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedChange {
    /// The object to be changed.
    pub target: EmergencyTarget,

    /// Its fields and their new values.
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub edits: Vec<ExpectedEdit>,
}

/// One field and its new value.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedEdit {
    /// Such as `spec.template.spec.containers[name=web].resources.limits.memory`.
    #[schemars(length(max = 512))]
    pub path: String,

    /// The new value as JSON text: `"256Mi"` in quotes, `3`, `{"a":1}`; `null` removes the field. Never a secret.
    #[schemars(length(max = 2048))]
    pub value: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::EmergencyChangeSpec;

    #[test]
    fn what_is_left_out_is_the_default_and_the_rest_is_kept() {
        let spec: EmergencyChangeSpec = serde_saphyr::from_str(
            "incident: INC-7\nrequestedBy: ann\nscope: {namespaces: [shop], kinds: [Deployment]}\nexpected:\n\
             - target: {kind: Deployment, namespace: shop, name: web}\n  edits: [{path: spec.replicas, value: '3'}]\n",
        )
        .unwrap();
        assert_eq!(spec.budget.to_string(), "1800s");
        assert!(!spec.unsanctioned);
        let text = serde_saphyr::to_string(&spec).unwrap();
        assert_eq!(serde_saphyr::from_str::<EmergencyChangeSpec>(&text).unwrap(), spec);
    }
}
