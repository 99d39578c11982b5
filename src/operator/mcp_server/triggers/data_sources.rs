//! DataSources that come, go or change: every server that looks for sources where they are is looked at.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use kube::{
    Client, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt, predicates,
        reflector::{ObjectRef, Store},
        watcher::{self, Event, watcher},
    },
};

use super::{Guarded, Trigger, api};
use crate::{api::DataSource, operator::data_source::namespaces};

type Source = DeserializeGuard<DataSource>;

/// In one namespace, or in all.
pub(super) fn connected(
    client: &Client,
    namespace: Option<&str>,
    store: Store<Guarded>,
) -> impl Stream<Item = Trigger> + Send + 'static {
    let watched = watcher(api::<Source>(client, namespace), watcher::Config::default()).default_backoff();
    let known = Arc::new(Mutex::new(HashMap::new()));
    watched
        .try_filter_map(move |event| {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            std::future::ready(Ok(moved(&mut known, &event)))
        })
        .flat_map(move |moved| match moved {
            Ok(namespace) => stream::iter(looking_into(&store, &namespace)).map(Ok).left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        })
}

type Known = HashMap<(String, String), u64>;

/// The namespace of a source that looks different to servers. A check that found the same again does not.
fn moved(known: &mut Known, event: &Event<Source>) -> Option<String> {
    let (source, is_gone) = match event {
        Event::Apply(source) | Event::InitApply(source) => (source, false),
        Event::Delete(source) => (source, true),
        Event::Init | Event::InitDone => return None,
    };
    let key = (source.namespace()?, source.name_any());
    if is_gone {
        known.remove(&key);
        return Some(key.0);
    }
    let mut hasher = DefaultHasher::new();
    source.uid().hash(&mut hasher);
    predicates::generation(source).hash(&mut hasher);
    predicates::labels(source).hash(&mut hasher);
    source
        .0
        .as_ref()
        .ok()
        .and_then(|source| source.status.as_ref()?.phase)
        .map(|phase| phase.as_str())
        .hash(&mut hasher);
    let namespace = key.0.clone();
    let now = hasher.finish();
    (known.insert(key, now) != Some(now)).then_some(namespace)
}

fn looking_into(store: &Store<Guarded>, namespace: &str) -> Vec<ObjectRef<Guarded>> {
    let looks = |guard: &Arc<Guarded>| {
        let own = guard.namespace().unwrap_or_default();
        let spec = guard.0.as_ref().ok().and_then(|server| server.spec.data_sources.as_ref());
        spec.is_some_and(|spec| namespaces(spec, &own).contains(namespace))
    };
    store
        .state()
        .iter()
        .filter(|guard| looks(guard))
        .map(|guard| ObjectRef::from_obj(guard.as_ref()))
        .collect()
}
