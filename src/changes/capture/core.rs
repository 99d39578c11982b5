//! All that capture knows, in one place: what comes in is joined, and what comes of it is told, counted and stored.
//! Needs no cluster and no socket.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use super::{
    asked::Asked,
    coverage::Coverage,
    doors::Brought,
    joiner::{Joiner, Known, Sighting},
    metrics::Metrics,
    recorded,
    rules::Actor,
    scope::Scope,
    sharing::{Heard, Hearsay},
    store::{Entry, Store, StoreError},
    stream::{Judged, Queue},
    tracker::{Shelf, Tracker, Watched},
    watching::Glimpse,
    write::{ObjectRef, Seen, Way, Write},
};

pub(super) struct Core {
    scope: Scope,
    tracker: Tracker,
    joiner: Joiner,
    store: Store,
    /// Objects whose state differs from the stored one.
    unstored: BTreeSet<ObjectRef>,
    unstored_shelves: BTreeSet<Shelf>,
    coverage: Arc<Mutex<Coverage>>,
    coverage_file: PathBuf,
    is_counted_anew: bool,
    heard: Heard,
    queue: Arc<Queue>,
    metrics: Metrics,
    /// Whether this replica counts how writes came about; the others hear it from the one that does.
    counts: bool,
    has_failed: bool,
}

/// What a core shares with others.
pub(super) struct Shared {
    pub(super) coverage: Arc<Mutex<Coverage>>,
    pub(super) heard: Heard,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Metrics,
}

impl Core {
    /// With what an earlier process left in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub(super) fn open(
        folder: &Path,
        scope: Scope,
        joiner: Joiner,
        shared: Shared,
    ) -> Result<Self, StoreError> {
        let Shared { coverage, heard, queue, metrics } = shared;
        let (store, left) = Store::open(folder)?;
        if left.malformed > 0 {
            tracing::warn!(
                lines = left.malformed,
                "lines of what capture had seen could not be read and are dropped"
            );
        }
        let coverage_file = folder.join("coverage.json");
        let stored = fs::read(&coverage_file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(stored) = stored {
            *coverage.lock().unwrap_or_else(PoisonError::into_inner) = stored;
        }
        Ok(Self {
            scope,
            tracker: Tracker::restored(left.snapshots, left.since),
            joiner,
            store,
            unstored: BTreeSet::new(),
            unstored_shelves: BTreeSet::new(),
            coverage,
            coverage_file,
            is_counted_anew: false,
            heard,
            queue,
            metrics,
            counts: true,
            has_failed: false,
        })
    }

    /// Whether the watch may show more.
    pub(super) fn takes_more(&self) -> bool {
        !self.queue.is_full()
    }

    pub(super) fn glimpse(&mut self, glimpse: Glimpse, now: Timestamp) {
        match glimpse {
            Glimpse::Kind(kind) => {
                let _is_wanted = self.scope.learn(&kind);
            }
            Glimpse::All(shelf, mut snapshots) => {
                snapshots.retain(|snapshot| self.scope.holds(&snapshot.object));
                let is_first = !self.tracker.since().contains_key(&shelf);
                let seen: Vec<ObjectRef> = snapshots.iter().map(|snapshot| snapshot.object.clone()).collect();
                let watched = self.tracker.relist(&shelf, snapshots, now);
                if is_first {
                    self.unstored.extend(seen);
                    self.unstored_shelves.insert(shelf);
                }
                watched.into_iter().for_each(|watched| self.watched(watched, now));
                if is_first {
                    // At once: a process that dies now knows where it began.
                    self.store_all(now);
                }
            }
            Glimpse::Now(shelf, snapshot) => {
                let object = snapshot.object.clone();
                if self.scope.holds(&object) {
                    let before = self.tracker.get(&object).map(|before| before.fingerprint.clone());
                    // The status moves all the time; it is not what is compared after a restart.
                    if before.as_ref() != Some(&snapshot.fingerprint) {
                        self.unstored.insert(object);
                    }
                    let watched = self.tracker.apply(&shelf, *snapshot, now);
                    watched.into_iter().for_each(|watched| self.watched(watched, now));
                }
            }
            Glimpse::Gone(object) => {
                let watched = self.tracker.remove(&object, now);
                self.unstored.insert(object);
                watched.into_iter().for_each(|watched| self.watched(watched, now));
            }
        }
    }

    fn watched(&mut self, watched: Watched, now: Timestamp) {
        if self.scope.holds(&watched.object) {
            self.unstored.insert(watched.object.clone());
            let known = self.joiner.apply(Sighting::Watched(watched), now);
            self.tell(known, now);
        }
    }

    pub(super) fn brought(&mut self, brought: &Brought, now: Timestamp) {
        match brought {
            Brought::Question(body) => match Asked::parse(body, &self.scope, now) {
                Ok(Some(asked)) => self.hear(Hearsay::Asked(asked), now),
                Ok(None) => {}
                Err(_) => self.metrics.malformed("webhook", 1),
            },
            Brought::Events(body) => match recorded::parse(body, &self.scope) {
                Ok(posted) => {
                    self.metrics.malformed("audit_events", posted.malformed);
                    for recorded in posted.recorded {
                        self.hear(Hearsay::Recorded(recorded), now);
                    }
                }
                Err(error) => {
                    self.metrics.malformed("audit_events", 1);
                    tracing::debug!(%error, "a post of audit events could not be read");
                }
            },
        }
    }

    /// What this replica was brought: which one leads may change, and another may lead already.
    fn hear(&mut self, hearsay: Hearsay, now: Timestamp) {
        self.heard.add(hearsay.clone());
        self.overheard(hearsay, now);
    }

    /// What this replica or another was brought.
    pub(super) fn overheard(&mut self, hearsay: Hearsay, now: Timestamp) {
        let sighting = match hearsay {
            Hearsay::Asked(asked) => Sighting::Asked(asked),
            Hearsay::Recorded(recorded) => Sighting::Recorded(recorded),
        };
        let known = self.joiner.apply(sighting, now);
        self.tell(known, now);
    }

    /// Whoever reads the writes has this one.
    pub(super) fn judged(&mut self, judged: &Judged) {
        let Judged { write, way } = judged;
        self.joiner.settle(&write.object, &write.id());
        self.count(write, *way);
        let object = judged.object().clone();
        self.store(&[object]);
    }

    /// Some time has passed. `leads`: somebody here reads the writes.
    pub(super) fn pass(&mut self, leads: bool, now: Timestamp) {
        self.counts = leads;
        let known = self.joiner.pass(now);
        self.tell(known, now);
        if !leads {
            for seen in self.queue.outlived(now) {
                let write = seen.write();
                self.joiner.settle(&write.object, &write.id());
            }
        }
        self.metrics.following(self.tracker.objects(), self.tracker.bytes());
        self.metrics.audited(self.joiner.audited(), self.joiner.unconfirmed());
    }

    fn tell(&mut self, known: Vec<Known>, now: Timestamp) {
        for known in known {
            match known {
                Known::Write(write) => self.queue.push(Seen::Write(write), now),
                Known::Amended(write) => self.queue.push(Seen::Amended(write), now),
                Known::Excused(write, actor) => {
                    self.count(&write, way(actor));
                    self.queue.push(Seen::Excused(write), now);
                }
                Known::LeftOut(write, actor) => self.count(&write, way(actor)),
            }
        }
    }

    fn count(&mut self, write: &Write, way: Option<Way>) {
        if !self.counts {
            return;
        }
        let is_news = self.coverage.lock().unwrap_or_else(PoisonError::into_inner).judge(write, way);
        if is_news {
            self.is_counted_anew = true;
            way.into_iter().for_each(|way| self.metrics.wrote(way));
        }
    }

    /// Stores what is done with. A write that nobody has yet keeps the state before it, so that it is seen again after
    /// a crash.
    pub(super) fn store_all(&mut self, now: Timestamp) {
        let objects: Vec<ObjectRef> = self.unstored.iter().cloned().collect();
        self.store(&objects);
        if self.store.is_stale(self.tracker.objects()) && self.unstored.is_empty() {
            let stored = self.store.rewrite(self.tracker.held(), self.tracker.since());
            self.said(stored);
        }
        if std::mem::take(&mut self.is_counted_anew) {
            let stored = self.store_coverage(now);
            if let Err(error) = stored {
                self.is_counted_anew = true;
                tracing::warn!(%error, file = %self.coverage_file.display(), "the coverage by Git is not stored");
            }
        }
    }

    fn store(&mut self, objects: &[ObjectRef]) {
        let done: Vec<&ObjectRef> = objects
            .iter()
            .filter(|object| self.unstored.contains(*object) && !self.joiner.is_open(object))
            .collect();
        let shelves = self.unstored_shelves.iter().filter_map(|shelf| {
            self.tracker.since().get(shelf).map(|since| Entry::Since(shelf.clone(), *since))
        });
        let objects = done.iter().map(|object| match self.tracker.get(object) {
            Some(snapshot) => Entry::Object(Box::new(snapshot.redacted())),
            None => Entry::Gone((*object).clone()),
        });
        // A shelf comes after its objects: half of it is not the whole.
        let entries: Vec<Entry> = objects.chain(shelves).collect();
        if entries.is_empty() {
            return;
        }
        let stored = self.store.append(&entries);
        if stored.is_ok() {
            for object in done {
                self.unstored.remove(object);
            }
            self.unstored_shelves.clear();
        }
        self.said(stored);
    }

    /// Once for each time that it begins to fail.
    fn said(&mut self, stored: Result<(), StoreError>) {
        let had_failed = std::mem::replace(&mut self.has_failed, stored.is_err());
        if let Err(error) = stored
            && !had_failed
        {
            tracing::warn!(%error, "after a restart, writes may be told again");
        }
    }

    fn store_coverage(&self, now: Timestamp) -> io::Result<()> {
        let text = {
            let mut coverage = self.coverage.lock().unwrap_or_else(PoisonError::into_inner);
            coverage.pass(now);
            serde_json::to_vec(&*coverage)?
        };
        let new = self.coverage_file.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, &self.coverage_file)
    }
}

fn way(actor: Actor) -> Option<Way> {
    (actor == Actor::Git).then_some(Way::Git)
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
