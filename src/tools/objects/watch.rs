//! A subscription to an object: told when its health changes, not at every write of its status.

use std::time::Duration;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    answer::Rank,
    cluster::{Change, ReadError, Resource},
    tools::{
        desk::Desk,
        kinds::{Facts, View},
    },
};

/// Changes this close together are told once.
const TOGETHER: Duration = Duration::from_secs(1);
/// After a read that failed, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How an object is, without what changes by itself with time.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Health {
    Gone,
    There { rank: Rank, why: String, generation: i64 },
}

impl Health {
    fn of(view: &View, object: &RawValue, facts: &Facts) -> Self {
        #[derive(Deserialize)]
        struct Object {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            #[serde(default)]
            generation: i64,
        }
        let generation =
            serde_json::from_str::<Object>(object.get()).map_or(0, |object| object.metadata.generation);
        match view.line(object, facts) {
            // Counts and ages move without a change of health.
            Ok(line) => Self::There {
                rank: line.health.rank,
                why: line.health.why.chars().filter(|c| !c.is_ascii_digit()).collect(),
                generation,
            },
            Err(error) => Self::There { rank: Rank::Neutral, why: error.to_string(), generation },
        }
    }
}

struct Watch {
    desk: Desk,
    resource: Resource,
    namespace: Option<String>,
    name: String,
    known: Option<Health>,
    pause: Duration,
    changes: Option<BoxStream<'static, Result<Change, ReadError>>>,
}

pub(super) fn of_health(
    desk: Desk,
    resource: Resource,
    namespace: Option<String>,
    name: String,
) -> BoxStream<'static, ()> {
    let watch = Watch { desk, resource, namespace, name, known: None, pause: FIRST_PAUSE, changes: None };
    stream::unfold(watch, |mut watch| async {
        watch.changed().await;
        Some(((), watch))
    })
    .boxed()
}

impl Watch {
    /// Until the health is another than the one told last, and has been for a moment.
    async fn changed(&mut self) {
        let view = self.desk.view(&self.resource).await;
        loop {
            let seen = match self.next().await {
                Ok(seen) => seen,
                Err(error) => {
                    tracing::debug!(%error, name = self.name, "a subscription cannot read its object");
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                    self.changes = None;
                    continue;
                }
            };
            self.pause = FIRST_PAUSE;
            let health = match seen {
                Change::Gone => Health::Gone,
                Change::Now(object) => Health::of(&view, &object, &Facts::at(self.desk.reader.now())),
            };
            // The first look is what the client reads itself.
            let is_new = self.known.replace(health.clone()).is_some_and(|known| known != health);
            if is_new {
                self.settle(&view).await;
                return;
            }
        }
    }

    /// Takes in what follows within a moment.
    async fn settle(&mut self, view: &View) {
        let together = async {
            while let Ok(seen) = self.next().await {
                self.known = Some(match seen {
                    Change::Gone => Health::Gone,
                    Change::Now(object) => Health::of(view, &object, &Facts::at(self.desk.reader.now())),
                });
            }
        };
        let _ = tokio::time::timeout(TOGETHER, together).await;
    }

    /// The next state of the object; a watch that has ended is begun anew.
    async fn next(&mut self) -> Result<Change, ReadError> {
        loop {
            if let Some(changes) = &mut self.changes
                && let Some(change) = changes.next().await
            {
                return change;
            }
            let Self { desk, resource, namespace, name, .. } = self;
            let changes = desk.reader.watch(resource, namespace.as_deref(), name).await?;
            self.changes = Some(changes);
        }
    }
}
