//! What makes a server be looked at: its own change, that of a child or a pod, and what the gateway sees of it.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::Arc,
};

use futures::{
    Stream, StreamExt, TryStreamExt,
    future::ready,
    stream::{BoxStream, select_all, unfold},
};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{ApiResource, DeserializeGuard, DynamicObject, PartialObjectMeta},
    runtime::{
        PredicateConfig, WatchStreamExt, predicates,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use tokio::sync::watch;

use super::{
    Context,
    build::{COMPONENT, INSTANCE, MANAGED_BY, MANAGER},
    kind::Kind,
    served::{says_gone, while_served},
    sightings::server_of,
};
use crate::{
    api::MCPServer,
    fleet::{Observation, Observations, ServerName},
};

mod data_sources;

pub(super) type Guarded = DeserializeGuard<MCPServer>;
type Trigger = Result<ObjectRef<Guarded>, watcher::Error>;

/// Every trigger of one namespace, or of all. The first stream also fills the store behind `writer`.
pub(super) fn all(
    context: &Arc<Context>,
    namespace: Option<&str>,
    writer: reflector::store::Writer<Guarded>,
    store: Store<Guarded>,
) -> BoxStream<'static, Trigger> {
    let client = &context.client;
    let named = seen(context.observations.clone()).boxed();
    let due = context.sleepers.as_ref().map(|sleepers| sleepers.due(namespace.map(str::to_owned)).boxed());
    let named = select_all([named, context.referred.wakes().boxed()].into_iter().chain(due));
    let only_in = namespace.map(str::to_owned);
    let named = named
        .filter(move |server| ready(only_in.as_ref().is_none_or(|namespace| *namespace == server.namespace)))
        .map(|server| Ok(reference(&server)));
    let mut all =
        vec![servers(api(client, namespace), writer).boxed(), pods(client, namespace).boxed(), named.boxed()];
    // Also those of other namespaces: a server may be connected to them.
    if namespace.is_none() {
        all.push(data_sources::connected(client, None, store.clone()).boxed());
    } else {
        let each = context.namespaces.iter().map(|namespace| Some(namespace.as_str()));
        all.extend(each.map(|namespace| data_sources::connected(client, namespace, store.clone()).boxed()));
    }
    all.extend(Kind::ALL.map(|kind| children(context.clone(), namespace.map(str::to_owned), kind)));
    select_all(all).boxed()
}

fn reference(server: &ServerName) -> ObjectRef<Guarded> {
    ObjectRef::new(&server.name).within(&server.namespace)
}

/// Spec and labels count, so that our own writing of the status wakes nobody.
fn servers(
    api: Api<Guarded>,
    writer: reflector::store::Writer<Guarded>,
) -> impl Stream<Item = Trigger> + Send + 'static {
    let watched = watcher(api, watcher::Config::default()).default_backoff().modify(|server| {
        server.meta_mut().managed_fields = None;
    });
    watched
        .reflect(writer)
        .applied_objects()
        .predicate_filter(what_counts, PredicateConfig::default())
        .map_ok(|server| ObjectRef::from_obj(&server))
}

fn what_counts(server: &Guarded) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    server.uid().hash(&mut hasher);
    predicates::generation(server).hash(&mut hasher);
    predicates::labels(server).hash(&mut hasher);
    Some(hasher.finish())
}

/// Children of a kind, as soon as the cluster has it and as long as it does.
fn children(context: Arc<Context>, namespace: Option<String>, kind: Kind) -> BoxStream<'static, Trigger> {
    while_served(context.served.changes(), kind, move |resource| {
        watched(context.clone(), namespace.clone(), kind, resource)
    })
}

/// Only metadata is watched: a change of anything changes the resourceVersion. What is seen is noted before it
/// wakes the server.
fn watched(
    context: Arc<Context>,
    namespace: Option<String>,
    kind: Kind,
    resource: ApiResource,
) -> BoxStream<'static, Trigger> {
    let client = context.client.clone();
    let api: Api<PartialObjectMeta<DynamicObject>> = match &namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    watcher(api, ours())
        .default_backoff()
        .inspect(move |event| match event {
            Ok(event) => context.sightings.note(kind, namespace.as_deref(), event),
            Err(error) if kind.built_in().is_none() && says_gone(error) => context.served.is_gone(kind),
            Err(_) => {}
        })
        .touched_objects()
        .try_filter_map(|child| ready(Ok(server_of(&child).map(|server| reference(&server)))))
        .boxed()
}

/// Pods belong to a ReplicaSet: their labels say whose they are.
fn pods(client: &Client, namespace: Option<&str>) -> impl Stream<Item = Trigger> + Send + 'static {
    let watched = watcher(api::<PartialObjectMeta<Pod>>(client, namespace), ours()).default_backoff();
    watched.touched_objects().try_filter_map(|pod| {
        let server = pod.labels().get(INSTANCE).zip(pod.namespace());
        std::future::ready(Ok(server.map(|(name, namespace)| ObjectRef::new(name).within(&namespace))))
    })
}

fn ours() -> watcher::Config {
    watcher::Config::default()
        .labels(&format!("{MANAGED_BY}={MANAGER},app.kubernetes.io/component={COMPONENT}"))
}

/// The servers of which something changed that a status shows.
fn seen(observations: watch::Receiver<Observations>) -> impl Stream<Item = ServerName> + Send + 'static {
    let before = observations.borrow().clone();
    unfold((observations, before), |(mut observations, before)| async move {
        // The gateway is gone: so are its observations.
        observations.changed().await.ok()?;
        let now = observations.borrow_and_update().clone();
        let changed = changed(&before, &now);
        Some((futures::stream::iter(changed), (observations, now)))
    })
    .flatten()
}

fn changed(before: &Observations, now: &Observations) -> Vec<ServerName> {
    let differs = |name: &&ServerName| match (before.get(*name), now.get(*name)) {
        (Some(before), Some(now)) => !shows_the_same(before, now),
        _ => true,
    };
    let mut names: Vec<ServerName> = now.keys().filter(differs).cloned().collect();
    names.extend(before.keys().filter(|name| !now.contains_key(*name)).cloned());
    names
}

/// Counters move with every call and are in no status.
fn shows_the_same(before: &Observation, now: &Observation) -> bool {
    let Observation { state, server, tools, dropped, changed, calls: _, errors: _ } = before;
    (state, server, tools, dropped, changed)
        == (&now.state, &now.server, &now.tools, &now.dropped, &now.changed)
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
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
        Observation { state, server: None, tools: vec![], dropped: vec![], changed: vec![], calls, errors: 0 }
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
        assert_eq!(changed(&before, &now), [name("moved"), name("new"), name("gone")]);
    }
}
