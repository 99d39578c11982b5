//! What a watch of the MCPServers shows: which of them the operator has put in place.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use pilothouse::api::MCPServer;
use tokio::{sync::watch, task::JoinHandle};

/// What was seen until now.
#[derive(Default)]
pub(crate) struct Seen {
    /// The generation that the status tells of, and when each was first seen. The status is written after the
    /// children.
    pub(crate) in_place: BTreeMap<String, BTreeMap<i64, Instant>>,
    pub(crate) available: BTreeSet<String>,
    last: Option<Instant>,
}

impl Seen {
    pub(crate) fn when_in_place(&self, name: &str, generation: i64) -> Option<Instant> {
        self.in_place.get(name)?.range(generation..).next().map(|(_, at)| *at)
    }

    fn apply(&mut self, server: &MCPServer) {
        let now = Instant::now();
        self.last = Some(now);
        let Some(status) = &server.status else { return };
        let name = server.name_any();
        if status.conditions.iter().any(|each| each.type_ == "Available" && each.status == "True") {
            self.available.insert(name.clone());
        }
        if let Some(generation) = status.observed_generation {
            self.in_place.entry(name).or_default().entry(generation).or_insert(now);
        }
    }
}

/// Ends with this.
pub(crate) struct Watching {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

impl Watching {
    pub(crate) fn start(servers: Api<MCPServer>) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let task = tokio::spawn(async move {
            let mut shown =
                watcher(servers, watcher::Config::default()).default_backoff().applied_objects().boxed();
            loop {
                match shown.try_next().await {
                    Ok(Some(server)) => sender.send_modify(|seen| seen.apply(&server)),
                    Ok(None) => return,
                    // It starts again.
                    Err(_) => {}
                }
            }
        });
        Self { seen, task }
    }

    pub(crate) async fn until(
        &mut self,
        what: &str,
        within: Duration,
        holds: impl FnMut(&Seen) -> bool,
    ) -> anyhow::Result<()> {
        let held = tokio::time::timeout(within, self.seen.wait_for(holds)).await;
        held.with_context(|| format!("{what}: not within {within:?}"))?.context("the watch ended")?;
        Ok(())
    }

    /// Waits until no MCPServer was written for `silence`.
    pub(crate) async fn until_silent(&self, silence: Duration, within: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.seen.borrow().last.is_some_and(|last| last.elapsed() < silence) {
            if begun.elapsed() > within {
                bail!("statuses are still written after {within:?}");
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }

    pub(crate) fn read<T>(&self, of: impl FnOnce(&Seen) -> T) -> T {
        of(&self.seen.borrow())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}
