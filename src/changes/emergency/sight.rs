//! Whether what is written in a scope would be captured at all. Pure.

use super::{kinds::kind_and_group, named::KindNames, parts::KnownKind, scope::shown};
use crate::{
    api::emergency_change::{EmergencyScope, EmergencyTarget},
    changes::capture::ScopeConfig,
};

/// What of a scope is captured here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// What nobody would see written: `Pod`, `namespace bank`, `Pod shop/web-1`.
    blind: Vec<String>,
    /// Of a scope that names no kinds: those that are captured.
    kinds: Vec<String>,
    /// Something of it is captured.
    sees: bool,
}

/// `names` must hold the kinds of `watched`; those that the cluster does not have are not captured. The kinds of the
/// scope are named with their groups.
pub(super) fn sight(scope: &EmergencyScope, watched: &ScopeConfig, names: &KindNames) -> Sight {
    let known: Vec<&KnownKind> =
        watched.kinds.iter().filter_map(|kind| names.get(kind)?.as_ref().ok()).collect();
    let sees_kind = |kind: &str| {
        let (kind, group) = kind_and_group(kind);
        known.iter().any(|known| known.kind == kind && known.group == group.unwrap_or_default())
    };
    let sees_namespace =
        |namespace: &String| watched.namespaces.is_empty() || watched.namespaces.contains(namespace);
    let sees_object = |object: &EmergencyTarget| {
        // What is in no namespace is watched with all namespaces only.
        let is_near = object.namespace.as_ref().map_or(watched.namespaces.is_empty(), sees_namespace);
        is_near && sees_kind(&object.kind)
    };
    let EmergencyScope { namespaces, kinds, objects } = scope;
    let is_blind = |namespace: &&String| !sees_namespace(namespace);
    let far = namespaces.iter().filter(is_blind).map(|namespace| format!("namespace {namespace}"));
    let unknown = kinds.iter().filter(|kind| !sees_kind(kind)).map(|kind| kind_and_group(kind).0);
    let single = objects.iter().filter(|object| !sees_object(object)).map(shown);
    let sees_kinds =
        if kinds.is_empty() { !known.is_empty() } else { kinds.iter().any(|kind| sees_kind(kind)) };
    let all = kinds.is_empty() && !namespaces.is_empty();
    Sight {
        blind: far.chain(unknown).chain(single).collect(),
        kinds: if all { known.iter().map(|known| known.kind.clone()).collect() } else { Vec::new() },
        sees: (sees_kinds && namespaces.iter().any(sees_namespace)) || objects.iter().any(sees_object),
    }
}

impl Sight {
    /// # Errors
    /// One sentence, when nothing at all would be captured.
    pub(super) fn refuse_blind(&self) -> Result<(), String> {
        if self.sees {
            return Ok(());
        }
        Err(format!(
            "nothing in the scope is captured here ({}), so an emergency would cover and record nothing of it: name what is watched (emergency.scope), or have those who run pilothouse add it",
            self.blind.join(", ")
        ))
    }

    /// What people must know of it before they write, one or two lines.
    pub(super) fn warning(&self) -> Option<String> {
        let Self { blind, kinds, sees: _ } = self;
        let mut lines = String::new();
        if !kinds.is_empty() {
            lines.push_str(&format!("Captured are writes of {}, and of no other kinds.\n", kinds.join(", ")));
        }
        if !blind.is_empty() {
            lines.push_str(&format!(
                "Not captured here: {}. What is changed there goes into no record and no pull request: write it down yourself.\n",
                blind.join(", ")
            ));
        }
        (!lines.is_empty()).then_some(lines)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Sight, sight};
    use crate::changes::emergency::{named::KindNames, parts::KnownKind};

    fn names() -> KindNames {
        let known = |asked: &str, kind: &str, group: &str| {
            (asked.to_owned(), Ok(KnownKind { kind: kind.into(), group: group.into() }))
        };
        let mut names: KindNames =
            [known("deployments.apps", "Deployment", "apps"), known("configmaps", "ConfigMap", "")].into();
        names.insert("gone.example.com".into(), Err("the cluster has no kind `gone.example.com`".into()));
        names
    }

    fn of(scope: &str, watched: &str) -> Sight {
        sight(&serde_saphyr::from_str(scope).unwrap(), &serde_saphyr::from_str(watched).unwrap(), &names())
    }

    #[test]
    fn what_is_not_watched_is_said_and_a_scope_of_nothing_else_is_refused() {
        let all = "{kinds: [deployments.apps, configmaps, gone.example.com]}";
        let shop = "{namespaces: [shop], kinds: [deployments.apps]}";
        for (scope, watched, says) in [
            ("{namespaces: [shop], kinds: [Deployment.apps]}", shop, None),
            ("{namespaces: [shop], kinds: [Deployment.apps, Pod]}", all, Some("Not captured here: Pod.")),
            ("{namespaces: [shop, bank], kinds: [Deployment.apps]}", shop, Some("namespace bank")),
            (
                "{namespaces: [shop]}",
                all,
                Some("Captured are writes of ConfigMap, Deployment, and of no other"),
            ),
            (
                "{namespaces: [shop], kinds: [ConfigMap], objects: [{kind: Node, name: n1}]}",
                all,
                Some("Not captured here: Node n1."),
            ),
        ] {
            let sight = of(scope, watched);
            assert!(sight.refuse_blind().is_ok(), "{scope}");
            match (sight.warning(), says) {
                (None, None) => {}
                (Some(said), Some(says)) => assert!(said.contains(says), "{scope}: {said}"),
                (said, _) => panic!("{scope}: {said:?}"),
            }
        }
        for (scope, watched) in [
            ("{namespaces: [shop], kinds: [Pod]}", all),
            ("{namespaces: [shop], kinds: [ConfigMap]}", shop),
            ("{namespaces: [bank]}", shop),
            ("{namespaces: [shop], kinds: [Deployment.extensions]}", all),
            ("objects: [{kind: Deployment.apps, namespace: bank, name: web}]", shop),
            ("objects: [{kind: Deployment.apps, name: web}]", shop),
        ] {
            let said = of(scope, watched).refuse_blind().unwrap_err();
            assert!(said.contains("nothing in the scope is captured"), "{scope}: {said}");
        }
    }
}
