//! Which objects' writes are captured.

use std::collections::{BTreeMap, BTreeSet};

use super::write::ObjectRef;

/// A kind that the cluster has, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchedKind {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
}

/// What is never captured, whatever the configuration says: written all the time, and by nobody who means it.
const NEVER: [(&str, &str); 4] = [
    ("coordination.k8s.io", "leases"),
    ("", "events"),
    ("events.k8s.io", "events"),
    ("discovery.k8s.io", "endpointslices"),
];

/// Learns the kinds as they are found in the cluster.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Empty: all.
    namespaces: BTreeSet<String>,
    own: Option<String>,
    /// Kind by group and plural.
    kinds: BTreeMap<(String, String), String>,
}

impl Scope {
    /// `own`: the namespace that pilothouse runs in, if it runs in one.
    pub(super) fn new(namespaces: BTreeSet<String>, own: Option<String>) -> Self {
        Self { namespaces, own, kinds: BTreeMap::new() }
    }

    /// False for a kind that is never captured.
    pub(super) fn learn(&mut self, kind: &WatchedKind) -> bool {
        let WatchedKind { group, version: _, kind, plural, namespaced: _ } = kind;
        let is_wanted = !NEVER.contains(&(group.as_str(), plural.as_str()));
        if is_wanted {
            self.kinds.insert((group.clone(), plural.clone()), kind.clone());
        }
        is_wanted
    }

    pub(super) fn namespaces(&self) -> impl Iterator<Item = &String> {
        self.namespaces.iter()
    }

    /// The object, where its writes are captured.
    pub(super) fn object(
        &self,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<ObjectRef> {
        let kind = self.kinds.get(&(group.to_owned(), plural.to_owned()))?;
        let namespace = namespace.filter(|namespace| !namespace.is_empty()).map(str::to_owned);
        let object =
            ObjectRef { group: group.to_owned(), kind: kind.clone(), namespace, name: name.to_owned() };
        self.holds(&object).then_some(object)
    }

    /// Whether the object is in a namespace whose writes are captured.
    pub(super) fn holds(&self, object: &ObjectRef) -> bool {
        let Some(namespace) = &object.namespace else { return self.namespaces.is_empty() };
        self.own.as_ref() != Some(namespace)
            && (self.namespaces.is_empty() || self.namespaces.contains(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, WatchedKind};

    fn kind(group: &str, kind: &str, plural: &str) -> WatchedKind {
        WatchedKind {
            group: group.to_owned(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced: true,
        }
    }

    #[test]
    fn what_is_captured() {
        let mut scope = Scope::new(["shop".to_owned(), "ours".to_owned()].into(), Some("ours".to_owned()));
        assert!(scope.learn(&kind("apps", "Deployment", "deployments")));
        assert!(!scope.learn(&kind("coordination.k8s.io", "Lease", "leases")));
        assert!(!scope.learn(&kind("", "Event", "events")));
        let holds = |group, plural, namespace| scope.object(group, plural, namespace, "web").is_some();
        assert!(holds("apps", "deployments", Some("shop")));
        assert!(!holds("apps", "deployments", Some("other")));
        assert!(!holds("apps", "deployments", Some("ours")), "our own namespace");
        assert!(!holds("apps", "statefulsets", Some("shop")));
        assert!(!holds("apps", "deployments", None));
    }
}
