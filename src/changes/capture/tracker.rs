//! The states of the objects that are followed, and what each new state says was written. Plain values: needs no
//! cluster.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    fields::changes,
    snapshot::Snapshot,
    write::{DELETED, FieldChange, ObjectRef, Verb},
};

/// How exact the times of an API server are.
const TICK: SignedDuration = SignedDuration::from_secs(1);
/// A write that no time is known of was seen at most so long after it was stored, unless we were away.
const LATEST: SignedDuration = SignedDuration::from_secs(10);
/// Clocks of two machines differ by less.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What one list holds all objects of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shelf {
    pub(super) group: String,
    pub(super) kind: String,
    /// Absent: of all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
}

impl Shelf {
    fn holds(&self, object: &ObjectRef) -> bool {
        let Self { group, kind, namespace } = self;
        *group == object.group
            && *kind == object.kind
            && (namespace.is_none() || *namespace == object.namespace)
    }
}

/// A write as the watch shows it: certain to be stored; who made it is not known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Watched {
    pub(super) at: Timestamp,
    /// When it was stored, at the earliest and at the latest.
    pub(super) between: (Timestamp, Timestamp),
    pub(super) object: ObjectRef,
    pub(super) uid: String,
    /// Or [`DELETED`].
    pub(super) version: String,
    /// Of the state before, where that is known.
    pub(super) before: Option<String>,
    pub(super) verb: Verb,
    /// Of the new state's content; of the last one's for a delete.
    pub(super) fingerprint: String,
    pub(super) replicas: Option<i64>,
    /// Whoever wrote since the state before, the latest last. Nobody is named for a delete, nor where fields were only
    /// taken away.
    pub(super) managers: Vec<String>,
    pub(super) fields: Vec<FieldChange>,
}

/// Every object in scope as it was last seen.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    held: BTreeMap<ObjectRef, Snapshot>,
    /// Since when all objects of a shelf are known.
    since: BTreeMap<Shelf, Timestamp>,
    bytes: usize,
}

impl Tracker {
    /// As an earlier process left it.
    pub(super) fn restored(snapshots: Vec<Snapshot>, since: BTreeMap<Shelf, Timestamp>) -> Self {
        let mut tracker = Self { since, ..Self::default() };
        for snapshot in snapshots {
            tracker.keep(Snapshot { was_stored: true, ..snapshot });
        }
        tracker
    }

    pub(super) fn get(&self, object: &ObjectRef) -> Option<&Snapshot> {
        self.held.get(object)
    }

    pub(super) fn since(&self) -> &BTreeMap<Shelf, Timestamp> {
        &self.since
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &Snapshot> {
        self.held.values()
    }

    pub(super) fn objects(&self) -> usize {
        self.held.len()
    }

    /// What it holds in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A state that the watch showed.
    pub(super) fn apply(&mut self, shelf: &Shelf, snapshot: Snapshot, now: Timestamp) -> Vec<Watched> {
        let mut found = Vec::new();
        match self.held.get(&snapshot.object) {
            Some(before) if before.uid != snapshot.uid => {
                // It was deleted and made again while nobody looked.
                found.extend(deleted(before, now));
                found.extend((!snapshot.is_owned).then(|| created(&snapshot, now)));
            }
            // The watch repeats what the list has shown.
            Some(before) if before.version == snapshot.version && !before.was_stored => return found,
            // Giving it an owner is a write as well, the last one that is followed.
            Some(before) => found.extend(changed(before, &snapshot, now)),
            None if snapshot.is_owned => {}
            // One that was there before us is new to us, not new: its owner has let it go, for example.
            None => {
                let is_new = self
                    .since
                    .get(shelf)
                    .is_some_and(|since| snapshot.created.is_none_or(|created| created >= *since - SKEW));
                found.extend(is_new.then(|| created(&snapshot, now)));
                if is_new && snapshot.leaving.is_some() {
                    found.extend(deleted(&snapshot, now));
                }
            }
        }
        self.keep(snapshot);
        found
    }

    /// It is gone.
    pub(super) fn remove(&mut self, object: &ObjectRef, now: Timestamp) -> Option<Watched> {
        let before = self.held.remove(object)?;
        self.bytes = self.bytes.saturating_sub(before.bytes());
        deleted(&before, now)
    }

    /// A shelf as it is now. The first list of a shelf is where we begin: it says nothing of writes.
    pub(super) fn relist(&mut self, shelf: &Shelf, snapshots: Vec<Snapshot>, now: Timestamp) -> Vec<Watched> {
        let is_first = !self.since.contains_key(shelf);
        let there: BTreeSet<ObjectRef> = snapshots.iter().map(|snapshot| snapshot.object.clone()).collect();
        let gone: Vec<ObjectRef> = self
            .held
            .keys()
            .filter(|object| shelf.holds(object) && !there.contains(*object))
            .cloned()
            .collect();
        let mut found: Vec<Watched> = gone.iter().filter_map(|object| self.remove(object, now)).collect();
        for snapshot in snapshots {
            if is_first {
                self.keep(snapshot);
            } else {
                found.extend(self.apply(shelf, snapshot, now));
            }
        }
        self.since.entry(shelf.clone()).or_insert(now);
        found
    }

    fn keep(&mut self, snapshot: Snapshot) {
        if snapshot.is_owned {
            if let Some(before) = self.held.remove(&snapshot.object) {
                self.bytes = self.bytes.saturating_sub(before.bytes());
            }
            return;
        }
        self.bytes += snapshot.bytes();
        if let Some(before) = self.held.insert(snapshot.object.clone(), snapshot) {
            self.bytes = self.bytes.saturating_sub(before.bytes());
        }
    }
}

fn watched(snapshot: &Snapshot, verb: Verb, at: Option<Timestamp>, now: Timestamp) -> Watched {
    Watched {
        at: at.unwrap_or(now),
        between: at.map_or((now - LATEST, now), |at| (at, at + TICK)),
        object: snapshot.object.clone(),
        uid: snapshot.uid.clone(),
        version: snapshot.version.clone(),
        before: None,
        verb,
        fingerprint: snapshot.fingerprint.clone(),
        replicas: snapshot.content()["spec"]["replicas"].as_i64(),
        managers: Vec::new(),
        fields: Vec::new(),
    }
}

fn created(snapshot: &Snapshot, now: Timestamp) -> Watched {
    let mut hands: Vec<_> = snapshot.hands.iter().collect();
    hands.sort_by_key(|hand| hand.time);
    let managers = hands.iter().map(|hand| hand.manager.to_string()).collect();
    Watched { managers, ..watched(snapshot, Verb::Create, snapshot.created, now) }
}

/// `None` where it was seen to be leaving before: that was the write.
fn deleted(before: &Snapshot, now: Timestamp) -> Option<Watched> {
    let told = watched(before, Verb::Delete, None, now);
    let version = DELETED.to_owned();
    before.leaving.is_none().then(|| Watched { version, before: Some(before.version.clone()), ..told })
}

/// `None` where nothing changed that people write.
fn changed(before: &Snapshot, after: &Snapshot, now: Timestamp) -> Option<Watched> {
    let before_version = Some(before.version.clone());
    match (before.leaving, after.leaving) {
        // Finalizers go, one by one.
        (Some(_), _) => return None,
        (None, Some(_)) => {
            // Its `deletionTimestamp` is when it may be gone, later than when that was asked.
            let told = watched(after, Verb::Delete, None, now);
            return Some(Watched { version: DELETED.to_owned(), before: before_version, ..told });
        }
        (None, None) if before.fingerprint == after.fingerprint => return None,
        (None, None) => {}
    }
    let fields = changes(&after.object.kind, &before.content(), &after.content(), before.was_stored);
    let mut hands = after.wrote_since(before);
    let takes_a_field = fields.iter().any(|change| change.after.is_some());
    if hands.is_empty() && takes_a_field {
        // Whoever sets a field is named with a new time; one who wrote the same fields within the same second looks as
        // before.
        hands.extend(after.latest().filter(|hand| hand.time.is_some_and(|time| time + LATEST >= now)));
    }
    let at = hands.last().and_then(|hand| hand.time);
    let managers = hands.iter().map(|hand| hand.manager.to_string()).collect();
    let told = watched(after, Verb::Update, at, now);
    Some(Watched { before: before_version, managers, fields, ..told })
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
