//! Kinds as people name them: alone, with their group, or a group as a whole. Pure.

use crate::changes::kind::{canonical, is_called};

/// `Kind`, `Kind.group` or `*.group`; a kind without a group is that kind in any group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KindPattern {
    /// In small letters; none is every kind.
    kind: Option<String>,
    group: Option<String>,
}

impl KindPattern {
    pub(super) fn parse(text: &str) -> Self {
        let (kind, group) = match text.split_once('.') {
            Some((kind, group)) => (kind, Some(group.to_owned())),
            None => (text, None),
        };
        Self { kind: (kind != "*").then(|| canonical(kind).to_ascii_lowercase()), group }
    }

    pub(super) fn matches(&self, kind: &str, group: Option<&str>) -> bool {
        // Either may be a plural: of kinds that only this cluster has, too.
        let kind_fits =
            self.kind.as_deref().is_none_or(|wanted| is_called(kind, wanted) || is_called(wanted, kind));
        // A target that names no group might be of any.
        let group_fits = match (&self.group, group) {
            (Some(wanted), Some(group)) => wanted == group,
            (Some(wanted), None) => self.kind.is_some() || well_known(kind) == Some(wanted.as_str()),
            (None, _) => true,
        };
        kind_fits && group_fits
    }
}

/// The group of a built-in kind that a group as a whole may be denied for.
fn well_known(kind: &str) -> Option<&'static str> {
    let has = |kinds: &[&str]| kinds.iter().any(|known| is_called(known, kind));
    WELL_KNOWN.iter().find(|(_, kinds)| has(kinds)).map(|(group, _)| *group)
}

const WELL_KNOWN: [(&str, &[&str]); 3] = [
    ("rbac.authorization.k8s.io", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]),
    (
        "admissionregistration.k8s.io",
        &[
            "ValidatingWebhookConfiguration",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
        ],
    ),
    (
        "pilothouse.dev",
        &["MCPServer", "MCPPool", "DataSource", "ChangeRequest", "EmergencyChange", "Platform"],
    ),
];

/// The kind as manifests spell it, and its group where it was named: `Deployment.apps`.
pub(super) fn kind_and_group(text: &str) -> (String, Option<&str>) {
    match text.split_once('.') {
        Some((kind, group)) => (canonical(kind), Some(group)),
        None => (canonical(text), None),
    }
}
