//! Which kinds this cluster serves. The built-in ones always; the others are looked for at the start of a term and
//! again, at most every 20 s, while a server wants one that is missing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{
    Stream, StreamExt,
    stream::{BoxStream, empty, unfold},
};
use kube::{
    Client,
    core::{ApiResource, GroupVersionKind},
    discovery::pinned_kind,
    error::DiscoveryError,
    runtime::watcher,
};
use tokio::{sync::watch, time::Instant};

use super::kind::Kind;

/// How long a kind that is missing is not looked for again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// A kind and how the API server knows it.
pub(super) type Found = BTreeMap<Kind, ApiResource>;

pub(super) struct Served {
    client: Client,
    found: watch::Sender<Found>,
    looked: Mutex<BTreeMap<Kind, Instant>>,
}

impl Served {
    pub(super) fn new(client: Client) -> Self {
        let built_in = Kind::ALL.into_iter().filter_map(|kind| Some((kind, kind.built_in()?))).collect();
        Self { client, found: watch::Sender::new(built_in), looked: Mutex::default() }
    }

    /// Changes when a kind appears or is gone.
    pub(super) fn changes(&self) -> watch::Receiver<Found> {
        self.found.subscribe()
    }

    /// As it was last found.
    pub(super) fn known(&self, kind: Kind) -> Option<ApiResource> {
        self.found.borrow().get(&kind).cloned()
    }

    /// As it was last found, or as it is found now.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub(super) async fn find(&self, kind: Kind) -> Result<Option<ApiResource>, kube::Error> {
        if let Some(known) = self.known(kind) {
            return Ok(Some(known));
        }
        if !self.is_due(kind, Instant::now()) {
            return Ok(None);
        }
        let found = look(&self.client, kind).await?;
        if let Some(found) = &found {
            tracing::info!(%kind, version = found.api_version, "the cluster has this kind: it is used");
            self.found.send_modify(|all| {
                all.insert(kind, found.clone());
            });
        }
        Ok(found)
    }

    /// It is not served any more: it is looked for again when a server wants it.
    pub(super) fn is_gone(&self, kind: Kind) {
        if kind.built_in().is_none() {
            self.found.send_if_modified(|all| all.remove(&kind).is_some());
        }
    }

    fn is_due(&self, kind: Kind, now: Instant) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = looked.get(&kind).is_none_or(|then| now.duration_since(*then) >= LOOK_AGAIN);
        if is_due {
            looked.insert(kind, now);
        }
        is_due
    }
}

/// What `watch` yields as long as the kind is served, begun anew each time that it is served otherwise.
pub(super) fn while_served<T: Send + 'static>(
    served: watch::Receiver<Found>,
    kind: Kind,
    watch: impl Fn(ApiResource) -> BoxStream<'static, T> + Send + 'static,
) -> BoxStream<'static, T> {
    versions(served.clone(), kind)
        .flat_map(move |resource| match resource {
            Some(resource) => {
                let until = is_no_more(served.clone(), kind, resource.clone());
                watch(resource).take_until(until).boxed()
            }
            None => empty().boxed(),
        })
        .boxed()
}

/// How the kind is served, each time that changes.
fn versions(
    served: watch::Receiver<Found>,
    kind: Kind,
) -> impl Stream<Item = Option<ApiResource>> + Send + 'static {
    unfold((served, None), move |(mut served, before)| async move {
        loop {
            let now = served.borrow_and_update().get(&kind).cloned();
            if before.as_ref() != Some(&now) {
                return Some((now.clone(), (served, Some(now))));
            }
            // Its sender lives as long as the term.
            served.changed().await.ok()?;
        }
    })
}

/// Ends when the kind is served otherwise, or not at all.
async fn is_no_more(mut served: watch::Receiver<Found>, kind: Kind, resource: ApiResource) {
    // Its sender lives as long as the term.
    let _ = served.wait_for(|found| found.get(&kind) != Some(&resource)).await;
}

/// The API server does not know the kind any more.
pub(super) fn says_gone(error: &watcher::Error) -> bool {
    let cause = match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => cause,
        watcher::Error::WatchError(status) => return status.code == 404,
        watcher::Error::NoResourceVersion => return false,
    };
    matches!(cause, kube::Error::Api(status) if status.code == 404)
}

async fn look(client: &Client, kind: Kind) -> Result<Option<ApiResource>, kube::Error> {
    let (group, versions) = kind.installed_as();
    for version in versions {
        let wanted = GroupVersionKind::gvk(group, version, kind.as_str());
        match pinned_kind(client, &wanted).await {
            Ok((resource, _)) => return Ok(Some(resource)),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(kube::Error::Discovery(
                DiscoveryError::MissingKind(_)
                | DiscoveryError::MissingResource(_)
                | DiscoveryError::EmptyApiGroup(_),
            )) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
