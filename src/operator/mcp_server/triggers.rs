//! What makes a server be looked at: its own change, that of a child or a pod, and what the gateway sees of it.

use std::sync::Arc;

use futures::{
    Stream, StreamExt, TryStreamExt,
    future::ready,
    stream::{BoxStream, select_all},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    core::{ApiResource, DeserializeGuard, DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};

use super::{
    Context,
    build::{COMPONENT, INSTANCE, MANAGED_BY, MANAGER},
    kind::Kind,
    served::{says_gone, while_served},
    sightings::server_of,
};
use crate::{
    api::MCPServer,
    fleet::ServerName,
    operator::watches::{api, objects, servers_seen},
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
    let named = servers_seen(context.observations.clone()).boxed();
    let due = context.sleepers.as_ref().map(|sleepers| sleepers.due(namespace.map(str::to_owned)).boxed());
    let told = context.registrar.as_ref().map(|registrar| registrar.wakes().boxed());
    let named = select_all([named, context.referred.wakes().boxed()].into_iter().chain(due).chain(told));
    let only_in = namespace.map(str::to_owned);
    let named = named
        .filter(move |server| ready(only_in.as_ref().is_none_or(|namespace| *namespace == server.namespace)))
        .map(|server| Ok(reference(&server)));
    let mut all =
        vec![objects(api(client, namespace), writer).boxed(), pods(client, namespace).boxed(), named.boxed()];
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
