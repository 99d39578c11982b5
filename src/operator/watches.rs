//! What wakes the controllers: objects of ours that change, and servers that look different to the gateway.

use std::{
    collections::hash_map::DefaultHasher,
    fmt::Debug,
    hash::{Hash, Hasher},
};

use futures::{
    Stream, StreamExt, TryStreamExt,
    future::ready,
    stream::{iter, unfold},
};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        PredicateConfig, WatchStreamExt, predicates,
        reflector::{self, ObjectRef},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::fleet::{Observation, Observations, ServerName};

/// In one namespace, or in all.
pub(super) fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The objects that changed. Spec and labels count, so that our own writing of the status wakes nobody. The store behind
/// `writer` is filled on the way.
pub(super) fn objects<K>(
    api: Api<DeserializeGuard<K>>,
    writer: reflector::store::Writer<DeserializeGuard<K>>,
) -> impl Stream<Item = Result<ObjectRef<DeserializeGuard<K>>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let watched = watcher(api, watcher::Config::default()).default_backoff().modify(|object| {
        object.meta_mut().managed_fields = None;
    });
    watched
        .reflect(writer)
        .applied_objects()
        .predicate_filter(what_counts, PredicateConfig::default())
        .map_ok(|object| ObjectRef::from_obj(&object))
}

fn what_counts<K: Resource<DynamicType = ()>>(object: &DeserializeGuard<K>) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    object.uid().hash(&mut hasher);
    predicates::generation(object).hash(&mut hasher);
    predicates::labels(object).hash(&mut hasher);
    Some(hasher.finish())
}

/// The servers of which something changed that a status shows.
pub(super) fn servers_seen(
    observations: watch::Receiver<Observations>,
) -> impl Stream<Item = ServerName> + Send + 'static {
    seen(observations).filter_map(|(name, pool)| ready((pool.as_ref() != Some(&name)).then_some(name)))
}

/// The pools of which something changed that a status shows, or of a member of which.
pub(super) fn pools_seen(
    observations: watch::Receiver<Observations>,
) -> impl Stream<Item = ServerName> + Send + 'static {
    seen(observations).filter_map(|(_, pool)| ready(pool))
}

/// Each with its pool.
fn seen(
    observations: watch::Receiver<Observations>,
) -> impl Stream<Item = (ServerName, Option<ServerName>)> + Send + 'static {
    let before = observations.borrow().clone();
    unfold((observations, before), |(mut observations, before)| async move {
        // The gateway is gone: so are its observations.
        observations.changed().await.ok()?;
        let now = observations.borrow_and_update().clone();
        let changed = changed(&before, &now);
        Some((iter(changed), (observations, now)))
    })
    .flatten()
}

fn changed(before: &Observations, now: &Observations) -> Vec<(ServerName, Option<ServerName>)> {
    let differs = |name: &&ServerName| match (before.get(*name), now.get(*name)) {
        (Some(before), Some(now)) => !shows_the_same(before, now),
        _ => true,
    };
    let gone = before.iter().filter(|(name, _)| !now.contains_key(*name));
    let changed = now.iter().filter(|(name, _)| differs(name)).chain(gone);
    changed.map(|(name, seen)| (name.clone(), seen.pool.clone())).collect()
}

/// Counters move with every call and are in no status.
fn shows_the_same(before: &Observation, now: &Observation) -> bool {
    let Observation { state, server, tools, dropped, changed, quarantined, pins, calls: _, errors: _, pool } =
        before;
    (state, server, tools, dropped, changed, quarantined, pins, pool)
        == (
            &now.state,
            &now.server,
            &now.tools,
            &now.dropped,
            &now.changed,
            &now.quarantined,
            &now.pins,
            &now.pool,
        )
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::changed;
    use crate::fleet::{Observation, Observations, ServerName, State};

    fn name(name: &str) -> ServerName {
        ServerName { namespace: "team-a".to_owned(), name: name.to_owned() }
    }

    fn seen(state: State, calls: u64) -> Observation {
        Observation {
            state,
            server: None,
            tools: vec![],
            dropped: vec![],
            changed: vec![],
            quarantined: vec![],
            pins: Arc::default(),
            calls,
            errors: 0,
            pool: None,
        }
    }

    fn observations(all: Vec<(&str, Observation)>) -> Observations {
        Arc::new(all.into_iter().map(|(server, seen)| (name(server), seen)).collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn only_servers_that_look_different_are_looked_at() {
        let before = observations(vec![
            ("same", seen(State::Ready, 1)),
            ("moved", seen(State::Connecting, 0)),
            ("gone", seen(State::Ready, 0)),
        ]);
        let now = observations(vec![
            ("same", seen(State::Ready, 99)),
            ("moved", seen(State::Ready, 0)),
            ("new", seen(State::Connecting, 0)),
        ]);
        let changed: Vec<_> = changed(&before, &now).into_iter().map(|(name, _)| name).collect();
        assert_eq!(changed, [name("moved"), name("new"), name("gone")]);
    }
}
