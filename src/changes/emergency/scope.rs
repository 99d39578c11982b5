//! What an emergency covers. Pure.

use super::kinds::{KindPattern, kind_and_group};
use crate::{
    api::emergency_change::{EmergencyScope, EmergencyTarget},
    changes::capture::ObjectRef,
};

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
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{covers, is_target, shown, target_of};
    use crate::{
        api::emergency_change::{EmergencyScope, EmergencyTarget},
        changes::capture::ObjectRef,
    };

    pub(in crate::changes::emergency) fn object(
        kind: &str,
        group: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> ObjectRef {
        ObjectRef {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.map(str::to_owned),
            name: name.into(),
        }
    }

    pub(in crate::changes::emergency) fn scope(yaml: &str) -> EmergencyScope {
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
    fn a_target_names_the_object_that_it_is_made_of() {
        let web = object("Deployment", "apps", Some("shop"), "web");
        assert!(is_target(&target_of(&web), &web));
        assert_eq!(shown(&target_of(&web)), "Deployment shop/web");
        let other = EmergencyTarget { kind: "deploy".into(), namespace: None, name: "web".into() };
        assert!(!is_target(&other, &web));
    }
}
