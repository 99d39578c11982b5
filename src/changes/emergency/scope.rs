//! What an emergency covers, and what none may touch. Pure.

use super::config::Deny;
use crate::{
    api::emergency_change::{EmergencyScope, EmergencyTarget},
    changes::{capture::ObjectRef, kind::canonical},
};

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

    fn matches(&self, kind: &str, group: Option<&str>) -> bool {
        let kind_fits = self.kind.as_deref().is_none_or(|wanted| kind.eq_ignore_ascii_case(wanted));
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
    let kind = kind.to_ascii_lowercase();
    match kind.as_str() {
        "role" | "rolebinding" | "clusterrole" | "clusterrolebinding" => Some("rbac.authorization.k8s.io"),
        "validatingwebhookconfiguration"
        | "mutatingwebhookconfiguration"
        | "validatingadmissionpolicy"
        | "validatingadmissionpolicybinding"
        | "mutatingadmissionpolicy"
        | "mutatingadmissionpolicybinding" => Some("admissionregistration.k8s.io"),
        "mcpserver" | "mcppool" | "datasource" | "changerequest" | "emergencychange" | "platform" => {
            Some("pilothouse.dev")
        }
        _ => None,
    }
}

/// The kind as manifests spell it, and its group where it was named: `Deployment.apps`.
pub(super) fn kind_and_group(text: &str) -> (String, Option<&str>) {
    match text.split_once('.') {
        Some((kind, group)) => (canonical(kind), Some(group)),
        None => (canonical(text), None),
    }
}

impl Deny {
    /// Why nothing like that may be changed in an emergency; a part of a sentence.
    pub(super) fn forbids(
        &self,
        kind: Option<(&str, Option<&str>)>,
        namespace: Option<&str>,
    ) -> Option<String> {
        if let Some(namespace) =
            namespace.filter(|namespace| self.namespaces.iter().any(|name| name == namespace))
        {
            return Some(format!("namespace {namespace}"));
        }
        let (kind, group) = kind?;
        self.kinds.iter().any(|pattern| pattern.matches(kind, group)).then(|| format!("kind {kind}"))
    }

    /// As [`Self::forbids`], of one object.
    pub(super) fn forbids_object(&self, object: &ObjectRef) -> Option<String> {
        self.forbids(Some((&object.kind, Some(&object.group))), object.namespace.as_deref())
    }

    /// As [`Self::forbids`], of everything that a scope names.
    pub(super) fn forbids_scope(&self, scope: &EmergencyScope) -> Option<String> {
        let EmergencyScope { namespaces, kinds, objects } = scope;
        let namespaces = namespaces.iter().find_map(|namespace| self.forbids(None, Some(namespace)));
        let of_kinds = || {
            kinds.iter().find_map(|kind| {
                let (kind, group) = kind_and_group(kind);
                self.forbids(Some((&kind, group)), None)
            })
        };
        let of_objects = || objects.iter().find_map(|target| self.forbids_target(target));
        namespaces.or_else(of_kinds).or_else(of_objects)
    }

    pub(super) fn forbids_target(&self, target: &EmergencyTarget) -> Option<String> {
        let (kind, group) = kind_and_group(&target.kind);
        self.forbids(Some((&kind, group)), target.namespace.as_deref())
    }
}

/// Whether the target, as somebody named it, is this object.
pub(super) fn is_target(target: &EmergencyTarget, object: &ObjectRef) -> bool {
    let (kind, group) = kind_and_group(&target.kind);
    kind.eq_ignore_ascii_case(&object.kind)
        && group.is_none_or(|group| group == object.group)
        && target.namespace.as_deref().unwrap_or_default() == object.namespace.as_deref().unwrap_or_default()
        && target.name == object.name
}

/// Whether a scope covers the object: it is named, or of a kind in a namespace that is.
pub(super) fn covers(scope: &EmergencyScope, object: &ObjectRef) -> bool {
    let EmergencyScope { namespaces, kinds, objects } = scope;
    if objects.iter().any(|target| is_target(target, object)) {
        return true;
    }
    let in_namespace =
        object.namespace.as_ref().is_some_and(|namespace| namespaces.iter().any(|name| name == namespace));
    let of_kind = kinds.is_empty()
        || kinds.iter().any(|kind| KindPattern::parse(kind).matches(&object.kind, Some(&object.group)));
    in_namespace && of_kind
}

/// As records name it: the group only where the kind is not one that everybody knows.
pub(super) fn target_of(object: &ObjectRef) -> EmergencyTarget {
    let kind = if object.group.is_empty() {
        object.kind.clone()
    } else {
        format!("{}.{}", object.kind, object.group)
    };
    EmergencyTarget { kind, namespace: object.namespace.clone(), name: object.name.clone() }
}

/// `Deployment shop/web`.
pub(super) fn shown(target: &EmergencyTarget) -> String {
    let EmergencyTarget { kind, namespace, name } = target;
    let kind = kind.split_once('.').map_or(kind.as_str(), |(kind, _)| kind);
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{covers, is_target, shown, target_of};
    use crate::{
        api::emergency_change::{EmergencyScope, EmergencyTarget},
        changes::{capture::ObjectRef, emergency::config::tests::terms},
    };

    fn object(kind: &str, group: &str, namespace: Option<&str>, name: &str) -> ObjectRef {
        ObjectRef {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.map(str::to_owned),
            name: name.into(),
        }
    }

    fn scope(yaml: &str) -> EmergencyScope {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn a_scope_covers_what_it_names_and_nothing_else() {
        let web = object("Deployment", "apps", Some("shop"), "web");
        assert!(covers(&scope("namespaces: [shop]"), &web));
        assert!(covers(&scope("{namespaces: [shop], kinds: [deploy]}"), &web));
        assert!(covers(&scope("{namespaces: [shop], kinds: [Deployment.apps]}"), &web));
        assert!(!covers(&scope("{namespaces: [shop], kinds: [Deployment.extensions]}"), &web));
        assert!(!covers(&scope("{namespaces: [shop], kinds: [ConfigMap]}"), &web));
        assert!(!covers(&scope("namespaces: [other]"), &web));
        assert!(covers(&scope("objects: [{kind: Deployment, namespace: shop, name: web}]"), &web));
        assert!(!covers(&scope("objects: [{kind: Deployment, namespace: shop, name: api}]"), &web));
        let node = object("Node", "", None, "n1");
        assert!(covers(&scope("objects: [{kind: Node, name: n1}]"), &node));
        assert!(!covers(&scope("namespaces: [shop]"), &node));
    }

    #[test]
    fn the_deny_list_holds_for_scopes_and_for_objects() {
        let deny = terms("{}").deny;
        for forbidden in [
            "namespaces: [shop, kube-system]",
            "namespaces: [pilothouse]",
            "{namespaces: [shop], kinds: [secrets]}",
            "{namespaces: [shop], kinds: [RoleBinding]}",
            "{namespaces: [shop], kinds: [Role.rbac.authorization.k8s.io]}",
            "objects: [{kind: ClusterRole, name: admin}]",
            "objects: [{kind: EmergencyChange, namespace: x, name: y}]",
        ] {
            assert!(deny.forbids_scope(&scope(forbidden)).is_some(), "{forbidden}");
        }
        assert_eq!(deny.forbids_scope(&scope("{namespaces: [shop], kinds: [Deployment]}")), None);
        let binding = object("RoleBinding", "rbac.authorization.k8s.io", Some("shop"), "x");
        assert!(deny.forbids_object(&binding).is_some());
        assert!(deny.forbids_object(&object("MCPServer", "pilothouse.dev", Some("shop"), "x")).is_some());
        assert_eq!(deny.forbids_object(&object("ConfigMap", "", Some("shop"), "x")), None);
    }

    #[test]
    fn a_target_names_the_object_that_it_is_made_of() {
        let web = object("Deployment", "apps", Some("shop"), "web");
        assert!(is_target(&target_of(&web), &web));
        assert_eq!(shown(&target_of(&web)), "Deployment shop/web");
        let other = EmergencyTarget { kind: "deploy".into(), namespace: None, name: "web".into() };
        assert!(!is_target(&other, &web));
    }
}
