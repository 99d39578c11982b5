//! What makes a source be looked at: a change of its spec, and its ExternalSecret. The rest is a matter of time.

use std::{future::ready, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream::BoxStream, stream_select};
use kube::{
    Api, ResourceExt,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
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
    watches::{api, objects},
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
    let sources = objects(api(&context.client, namespace), writer).boxed();
    stream_select!(sources, external).boxed()
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
