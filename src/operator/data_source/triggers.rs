//! What makes a source be looked at: a change of its spec. The rest is a matter of time.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use futures::{Stream, StreamExt, TryStreamExt};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        PredicateConfig, WatchStreamExt, predicates,
        reflector::{self, ObjectRef},
        watcher,
    },
};

use super::Guarded;

/// Every trigger of one namespace, or of all; the store behind `writer` is filled on the way.
pub(super) fn all(
    client: &Client,
    namespace: Option<&str>,
    writer: reflector::store::Writer<Guarded>,
) -> impl Stream<Item = Result<ObjectRef<Guarded>, watcher::Error>> + Send + 'static {
    let api: Api<Guarded> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let watched = watcher(api, watcher::Config::default()).default_backoff().modify(|source| {
        source.meta_mut().managed_fields = None;
    });
    watched
        .reflect(writer)
        .applied_objects()
        .predicate_filter(what_counts, PredicateConfig::default())
        .map_ok(|source| ObjectRef::from_obj(&source))
        .boxed()
}

/// Our own writing of the status wakes nobody.
fn what_counts(source: &Guarded) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    (source.uid(), predicates::generation(source)).hash(&mut hasher);
    Some(hasher.finish())
}
