//! What no emergency may touch. Pure.

use super::kinds::{KindPattern, kind_and_group};
use crate::{
    api::emergency_change::{EmergencyScope, EmergencyTarget},
    changes::capture::ObjectRef,
};

/// The deny list of the installation, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deny {
    pub(super) namespaces: Vec<String>,
    pub(super) kinds: Vec<KindPattern>,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::changes::emergency::{
        config::tests::terms,
        scope::tests::{object, scope},
    };

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
            "objects: [{kind: clusterrolebindings, name: admin}]",
            "objects: [{kind: ValidatingWebhookConfigurations, name: all}]",
            "objects: [{kind: emergencychanges, namespace: x, name: y}]",
        ] {
            assert!(deny.forbids_scope(&scope(forbidden)).is_some(), "{forbidden}");
        }
        assert_eq!(deny.forbids_scope(&scope("{namespaces: [shop], kinds: [Deployment]}")), None);
        let binding = object("RoleBinding", "rbac.authorization.k8s.io", Some("shop"), "x");
        assert!(deny.forbids_object(&binding).is_some());
        assert!(deny.forbids_object(&object("MCPServer", "pilothouse.dev", Some("shop"), "x")).is_some());
        assert_eq!(deny.forbids_object(&object("ConfigMap", "", Some("shop"), "x")), None);
        let own = terms("deny: {kinds: [widgets.example.com]}").deny;
        assert!(own.forbids_object(&object("Widget", "example.com", Some("shop"), "x")).is_some());
    }
}
