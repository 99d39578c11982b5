//! What the watches last showed of the children: which exist, and in which version. So a child that did not move
//! is not read again, and one that is no longer declared is found without a list.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use kube::{
    ResourceExt,
    core::{DynamicObject, PartialObjectMeta},
    runtime::watcher::Event,
};

use super::{build::INSTANCE, child::Child, kind::Kind, owned::owner_elsewhere};
use crate::fleet::ServerName;

/// Which child.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChildName {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl ChildName {
    pub(super) fn of(child: &Child) -> Self {
        Self { kind: child.kind, namespace: child.namespace().to_owned(), name: child.name().to_owned() }
    }
}

/// One child as a watch showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub uid: String,
    pub version: String,
}

/// Filled by one watch per kind and namespace, each with its own `scope`.
#[derive(Debug, Default)]
pub(super) struct Sightings(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    by_server: HashMap<ServerName, BTreeMap<ChildName, Sighting>>,
    /// What a list that is under way has shown so far.
    listed: HashMap<(Kind, Option<String>), HashSet<ChildName>>,
}

impl Sightings {
    /// One event of the watch of `kind` in `scope`, all namespaces when None.
    pub(super) fn note(
        &self,
        kind: Kind,
        scope: Option<&str>,
        event: &Event<PartialObjectMeta<DynamicObject>>,
    ) {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = (kind, scope.map(str::to_owned));
        match event {
            Event::Init => {
                index.listed.insert(watch, HashSet::new());
            }
            Event::InitApply(object) => {
                if let Some(child) = index.apply(kind, object) {
                    index.listed.entry(watch).or_default().insert(child);
                }
            }
            Event::InitDone => {
                let listed = index.listed.remove(&watch).unwrap_or_default();
                index.keep_only(kind, scope, &listed);
            }
            Event::Apply(object) => {
                index.apply(kind, object);
            }
            Event::Delete(object) => index.delete(kind, object),
        }
    }

    pub(super) fn of(&self, server: &ServerName) -> BTreeMap<ChildName, Sighting> {
        let index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        index.by_server.get(server).cloned().unwrap_or_default()
    }
}

impl Index {
    fn apply(&mut self, kind: Kind, object: &PartialObjectMeta<DynamicObject>) -> Option<ChildName> {
        let (server, child) = (server_of(object)?, child_of(kind, object)?);
        let sighting = Sighting { uid: object.uid()?, version: object.resource_version()? };
        self.by_server.entry(server).or_default().insert(child.clone(), sighting);
        Some(child)
    }

    fn delete(&mut self, kind: Kind, object: &PartialObjectMeta<DynamicObject>) {
        let (Some(server), Some(child)) = (server_of(object), child_of(kind, object)) else { return };
        if let Some(children) = self.by_server.get_mut(&server) {
            children.remove(&child);
            if children.is_empty() {
                self.by_server.remove(&server);
            }
        }
    }

    fn keep_only(&mut self, kind: Kind, scope: Option<&str>, listed: &HashSet<ChildName>) {
        for children in self.by_server.values_mut() {
            children.retain(|child, _| {
                let is_of_watch = child.kind == kind && scope.is_none_or(|scope| scope == child.namespace);
                !is_of_watch || listed.contains(child)
            });
        }
        self.by_server.retain(|_, children| !children.is_empty());
    }
}

/// Whose child it says it is.
pub(super) fn server_of(object: &PartialObjectMeta<DynamicObject>) -> Option<ServerName> {
    if let Some(owner) = owner_elsewhere(&object.metadata) {
        return Some(owner.name);
    }
    Some(ServerName { namespace: object.namespace()?, name: object.labels().get(INSTANCE)?.clone() })
}

fn child_of(kind: Kind, object: &PartialObjectMeta<DynamicObject>) -> Option<ChildName> {
    let name = object.metadata.name.clone()?;
    Some(ChildName { kind, namespace: object.namespace()?, name })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use kube::{
        core::{DynamicObject, PartialObjectMeta},
        runtime::watcher::Event,
    };
    use serde_json::json;

    use super::{Kind, Sightings};
    use crate::fleet::ServerName;

    fn demo() -> ServerName {
        ServerName { namespace: "team-a".to_owned(), name: "demo".to_owned() }
    }

    fn seen(name: &str, version: &str) -> PartialObjectMeta<DynamicObject> {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "team-a", "uid": "u",
            "resourceVersion": version, "labels": {"app.kubernetes.io/instance": "demo"}}}))
        .unwrap()
    }

    fn versions(sightings: &Sightings) -> Vec<String> {
        let of_demo = sightings.of(&demo());
        of_demo
            .iter()
            .map(|(child, seen)| format!("{} {} {}", child.kind, child.name, seen.version))
            .collect()
    }

    #[test]
    fn children_come_move_and_go() {
        let sightings = Sightings::default();
        sightings.note(Kind::Claim, None, &Event::Apply(seen("demo-data", "1")));
        sightings.note(Kind::Claim, None, &Event::Apply(seen("demo-data", "2")));
        sightings.note(Kind::Ingress, None, &Event::Apply(seen("demo", "3")));
        assert_eq!(versions(&sightings), ["PersistentVolumeClaim demo-data 2", "Ingress demo 3"]);
        sightings.note(Kind::Claim, None, &Event::Delete(seen("demo-data", "4")));
        assert_eq!(versions(&sightings), ["Ingress demo 3"]);
    }

    #[test]
    fn what_a_new_list_does_not_show_is_gone() {
        let sightings = Sightings::default();
        for child in ["a", "b"] {
            sightings.note(Kind::Claim, Some("team-a"), &Event::Apply(seen(child, "1")));
        }
        sightings.note(Kind::Ingress, Some("team-a"), &Event::Apply(seen("demo", "1")));
        sightings.note(Kind::Claim, Some("team-a"), &Event::Init);
        sightings.note(Kind::Claim, Some("team-a"), &Event::InitApply(seen("b", "5")));
        sightings.note(Kind::Claim, Some("team-a"), &Event::InitDone);
        assert_eq!(versions(&sightings), ["PersistentVolumeClaim b 5", "Ingress demo 1"]);
    }
}
