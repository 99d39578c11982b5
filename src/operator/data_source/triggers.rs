//! What makes a source be looked at: a change of its spec, and its ExternalSecret. The rest is a matter of time.

use std::{
    collections::hash_map::DefaultHasher,
    future::ready,
    hash::{Hash, Hasher},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream::BoxStream, stream_select};
use kube::{
    Api, Resource, ResourceExt,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::{
        PredicateConfig, WatchStreamExt, predicates,
        reflector::{self, ObjectRef},
        watcher,
    },
};

use super::{
    Context, Guarded,
    external::{COMPONENT, INSTANCE, MANAGED_BY, MANAGER},
};
use crate::operator::{
    kind::Kind,
    served::{says_gone, while_served},
};

type Trigger = Result<ObjectRef<Guarded>, watcher::Error>;

/// Every trigger of one namespace, or of all; the store behind `writer` is filled on the way.
pub(super) fn all(
    context: &Arc<Context>,
    namespace: Option<&str>,
    writer: reflector::store::Writer<Guarded>,
) -> BoxStream<'static, Trigger> {
    let external = {
        let (context, namespace) = (context.clone(), namespace.map(str::to_owned));
        while_served(context.served.changes(), Kind::ExternalSecret, move |resource| {
            external_secrets(context.clone(), namespace.as_deref(), &resource)
        })
    };
    stream_select!(sources(context, namespace, writer), external).boxed()
}

fn sources(
    context: &Context,
    namespace: Option<&str>,
    writer: reflector::store::Writer<Guarded>,
) -> BoxStream<'static, Trigger> {
    let client = context.client.clone();
    let api: Api<Guarded> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
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

/// Its operator says in the status when it wrote the Secret: after it did.
fn external_secrets(
    context: Arc<Context>,
    namespace: Option<&str>,
    resource: &ApiResource,
) -> BoxStream<'static, Trigger> {
    let client = context.client.clone();
    let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    };
    let ours = format!("{MANAGED_BY}={MANAGER},app.kubernetes.io/component={COMPONENT}");
    watcher(api, watcher::Config::default().labels(&ours))
        .default_backoff()
        .inspect(move |event| {
            if event.as_ref().is_err_and(says_gone) {
                context.served.is_gone(Kind::ExternalSecret);
            }
        })
        .touched_objects()
        .try_filter_map(|external| ready(Ok(source_of(&external))))
        .boxed()
}

/// By its label: somebody may have taken its owner reference away.
fn source_of(external: &PartialObjectMeta<DynamicObject>) -> Option<ObjectRef<Guarded>> {
    let name = external.labels().get(INSTANCE)?;
    Some(ObjectRef::new(name).within(&external.namespace()?))
}

/// Our own writing of the status wakes nobody.
fn what_counts(source: &Guarded) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    // The policy may ask for labels.
    (source.uid(), predicates::generation(source), predicates::labels(source)).hash(&mut hasher);
    Some(hasher.finish())
}
