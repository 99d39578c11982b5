//! One task a namespace and store: watches while that is allowed, and asks again while it is not.

use std::{
    collections::HashMap,
    fmt::Debug,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, channel::mpsc::UnboundedSender};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

use super::{
    index::Index,
    place::{Place, Store},
    rights,
};
use crate::fleet::ServerName;

/// How long a refusal holds.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// What the tasks and the reconciles share.
#[derive(Default)]
pub(super) struct Shared {
    index: Mutex<Index>,
    /// The places that have a task, and whether they may be read.
    readable: Mutex<HashMap<Place, bool>>,
    listeners: Mutex<Vec<UnboundedSender<ServerName>>>,
}

impl Shared {
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listen(&self, listener: UnboundedSender<ServerName>) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// None: nobody has asked yet.
    pub(super) fn readable(&self, place: &Place) -> Option<bool> {
        self.readable.lock().unwrap_or_else(PoisonError::into_inner).get(place).copied()
    }

    /// Whether the place has no task yet.
    pub(super) fn begin(&self, place: &Place, readable: bool) -> bool {
        let mut all = self.readable.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !all.contains_key(place);
        all.entry(place.clone()).or_insert(readable);
        is_new
    }

    fn now_readable(&self, place: &Place, readable: bool) {
        let before = {
            let mut all = self.readable.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(place.clone(), readable)
        };
        if before != Some(readable) {
            let servers = self.index().referring_into(place);
            self.wake(servers);
        }
    }

    fn wake(&self, servers: impl IntoIterator<Item = ServerName>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        for server in servers {
            // A listener that is gone belongs to a term that has ended.
            listeners.retain(|listener| listener.unbounded_send(server.clone()).is_ok());
        }
    }
}

pub(super) async fn run(client: Client, shared: Arc<Shared>, place: Place, mut readable: bool) {
    loop {
        if readable {
            match place.store {
                Store::ConfigMaps => watch::<ConfigMap>(&client, &shared, &place).await,
                Store::Secrets => watch::<Secret>(&client, &shared, &place).await,
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
        match rights::may_watch(&client, &place).await {
            Ok(allowed) => readable = allowed,
            Err(error) => {
                tracing::debug!(%error, namespace = place.namespace, "not known whether it may be read")
            }
        }
        shared.now_readable(&place, readable);
    }
}

/// Until it is refused.
async fn watch<K>(client: &Client, shared: &Shared, place: &Place)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api = Api::<PartialObjectMeta<K>>::namespaced(client.clone(), &place.namespace);
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => {
                let servers = shared.index().referring_to(place, &object.name_any());
                shared.wake(servers);
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) if is_refused(&error) => return,
            Err(error) => {
                tracing::debug!(%error, namespace = place.namespace, "a watch broke, it starts again");
            }
        }
    }
}

fn is_refused(error: &watcher::Error) -> bool {
    let cause = match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => cause,
        watcher::Error::WatchError(status) => return status.code == 403,
        watcher::Error::NoResourceVersion => return false,
    };
    matches!(cause, kube::Error::Api(status) if status.code == 403)
}
