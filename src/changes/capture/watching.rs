//! The watch: every object of every kind in scope, as it is and as it becomes.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use super::{metrics::Metrics, scope::WatchedKind, snapshot::Snapshot, tracker::Shelf, write::ObjectRef};

/// Before something that failed is tried again; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A kind that the cluster has not may come: a CRD of tomorrow.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What capture reads of a cluster; implemented in `app` over `cluster`.
pub trait Cluster: Send + Sync {
    /// The kind that is called so, `deployments.apps` for example.
    ///
    /// # Errors
    /// One sentence, when there is none now or it cannot be asked for.
    fn kind<'a>(&'a self, called: &'a str) -> BoxFuture<'a, Result<WatchedKind, String>>;

    /// Gives `each` every object of the kind, and returns the version of the cluster's state that they are of.
    ///
    /// # Errors
    /// One sentence.
    fn list<'a>(
        &'a self,
        kind: &'a WatchedKind,
        namespace: Option<&'a str>,
        each: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<String, String>>;

    /// What happens after that version. The stream ends after some minutes; it goes on from the last version then.
    ///
    /// # Errors
    /// See [`Broken`].
    fn watch<'a>(
        &'a self,
        kind: &'a WatchedKind,
        namespace: Option<&'a str>,
        version: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Happening, Broken>>, Broken>>;
}

/// Something happened to an object, as JSON.
#[derive(Clone, Debug)]
pub enum Happening {
    Now(Box<RawValue>),
    Gone(Box<RawValue>),
    /// Nothing, up to this object's version.
    Nothing(Box<RawValue>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The API server no longer has what followed that version: list again.
    #[error("the cluster no longer keeps what happened since")]
    Lost,
    #[error("{0}")]
    Failed(String),
}

/// What the watch gives.
#[derive(Debug)]
pub(super) enum Glimpse {
    /// The cluster has this kind.
    Kind(WatchedKind),
    All(Shelf, Vec<Snapshot>),
    Now(Shelf, Box<Snapshot>),
    Gone(ObjectRef),
}

/// Follows kinds; each in a task of its own, that ends with this set.
pub(super) fn follow(
    cluster: &Arc<dyn Cluster>,
    kinds: impl IntoIterator<Item = String>,
    namespaces: &[String],
    into: &mpsc::Sender<Glimpse>,
    metrics: &Metrics,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for called in kinds {
        let follower = Follower {
            cluster: cluster.clone(),
            into: into.clone(),
            metrics: metrics.clone(),
            namespaces: namespaces.to_vec(),
        };
        tasks.spawn(follower.run(called));
    }
    tasks
}

struct Follower {
    cluster: Arc<dyn Cluster>,
    into: mpsc::Sender<Glimpse>,
    metrics: Metrics,
    namespaces: Vec<String>,
}

/// Nobody listens any more.
struct Over;

impl Follower {
    async fn run(self, called: String) {
        let mut is_said = false;
        let kind = loop {
            match self.cluster.kind(&called).await {
                Ok(kind) => break kind,
                Err(reason) => {
                    if !std::mem::replace(&mut is_said, true) {
                        tracing::info!(
                            kind = called,
                            reason,
                            "writes of this kind are not captured: it is looked for again every minute"
                        );
                    }
                    sleep(LOOK_AGAIN).await;
                }
            }
        };
        if self.into.send(Glimpse::Kind(kind.clone())).await.is_err() {
            return;
        }
        if self.namespaces.is_empty() || !kind.namespaced {
            // Objects without a namespace are in scope where all are.
            if self.namespaces.is_empty() {
                let _over = self.shelf(&kind, None).await;
            }
            return;
        }
        let each = self.namespaces.iter().map(|namespace| self.shelf(&kind, Some(namespace)));
        futures::future::join_all(each).await;
    }

    /// Until nobody listens.
    async fn shelf(&self, kind: &WatchedKind, namespace: Option<&str>) -> Over {
        let shelf = Shelf {
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            namespace: namespace.map(str::to_owned),
        };
        let mut pause = PAUSE;
        loop {
            let mut version = match self.list(kind, &shelf).await {
                Ok(Ok(version)) => version,
                Ok(Err(Over)) => return Over,
                Err(reason) => {
                    self.wait(&shelf, &reason, &mut pause).await;
                    continue;
                }
            };
            loop {
                match self.watch(kind, &shelf, &mut version, &mut pause).await {
                    Ok(Ok(())) => {}
                    Ok(Err(Over)) => return Over,
                    Err(Broken::Lost) => break,
                    Err(Broken::Failed(reason)) => self.wait(&shelf, &reason, &mut pause).await,
                }
            }
        }
    }

    async fn wait(&self, shelf: &Shelf, reason: &str, pause: &mut Duration) {
        if *pause == PAUSE {
            let Shelf { group, kind, namespace } = shelf;
            tracing::warn!(
                kind,
                group,
                namespace = namespace.as_deref().unwrap_or("all"),
                reason,
                "writes are not seen for now: it is tried again, and what was written meanwhile is told then"
            );
        }
        sleep(*pause).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }

    async fn list(&self, kind: &WatchedKind, shelf: &Shelf) -> Result<Result<String, Over>, String> {
        let (mut snapshots, mut malformed) = (Vec::new(), 0);
        let mut each = |text: &str| match Snapshot::parse(kind, text) {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(error) => {
                malformed += 1;
                tracing::debug!(%error, kind = kind.kind, "an object is not followed");
            }
        };
        let version = self.cluster.list(kind, shelf.namespace.as_deref(), &mut each).await?;
        self.metrics.malformed("watch", malformed);
        let sent = self.into.send(Glimpse::All(shelf.clone(), snapshots)).await;
        Ok(sent.map(|()| version).map_err(|_| Over))
    }

    /// Until the stream ends.
    async fn watch(
        &self,
        kind: &WatchedKind,
        shelf: &Shelf,
        version: &mut String,
        pause: &mut Duration,
    ) -> Result<Result<(), Over>, Broken> {
        let mut stream = self.cluster.watch(kind, shelf.namespace.as_deref(), version).await?;
        while let Some(happening) = stream.next().await {
            let (object, is_there) = match happening? {
                Happening::Nothing(object) => {
                    version_of(&object).into_iter().for_each(|is| *version = is);
                    continue;
                }
                Happening::Now(object) => (object, true),
                Happening::Gone(object) => (object, false),
            };
            *pause = PAUSE;
            match Snapshot::parse(kind, object.get()) {
                Ok(snapshot) => {
                    version.clone_from(&snapshot.version);
                    let glimpse = if is_there {
                        Glimpse::Now(shelf.clone(), Box::new(snapshot))
                    } else {
                        Glimpse::Gone(snapshot.object)
                    };
                    if self.into.send(glimpse).await.is_err() {
                        return Ok(Err(Over));
                    }
                }
                Err(error) => {
                    self.metrics.malformed("watch", 1);
                    tracing::debug!(%error, kind = kind.kind, "a change of an object could not be read");
                }
            }
        }
        Ok(Ok(()))
    }
}

fn version_of(object: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: String,
    }
    serde_json::from_str::<Object>(object.get()).ok().map(|object| object.metadata.resource_version)
}
