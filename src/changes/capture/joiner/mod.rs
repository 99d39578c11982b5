//! Three witnesses of one write become one [`Write`]. Plain values: needs no runtime; time is what it is told.
//!
//! The watch alone says that a write was stored. What the webhook and the audit events say is kept until the watch
//! shows the write that it belongs to, and forgotten when none comes. `README.md` one folder up has the rules.

mod lineage;
mod matching;
mod recent;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    asked::Asked,
    recorded::{Deed, Recorded},
    rules::{Actor, Rules},
    tracker::Watched,
    write::{ObjectRef, Witness, Write, WriteId},
};
use recent::Recent;

/// The API server asks before it stores; what is not stored by then was refused elsewhere.
const ASKED_IS_GOOD: SignedDuration = SignedDuration::from_mins(2);
/// Audit events may come before the watch does, after a relist for example.
const RECORDED_IS_GOOD: SignedDuration = SignedDuration::from_mins(5);
/// Audit events come in batches, and late.
const WRITE_IS_OPEN: SignedDuration = SignedDuration::from_hours(1);
/// Audit events, so that a flood costs memory for so many only: the oldest go first.
const MOST: usize = 20_000;
/// The same for the questions about one object, and its writes that are done with.
const MOST_OF_ONE: usize = 500;

/// What somebody saw of a write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sighting {
    Watched(Watched),
    Asked(Asked),
    Recorded(Recorded),
}

/// What becomes known by a sighting.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    /// Somebody wrote past Git.
    Write(Write),
    /// More is known of one of those.
    Amended(Write),
    /// One of those was no person's.
    Excused(Write, Actor),
    /// It came through Git, or was nobody's doing.
    LeftOut(Write, Actor),
}

/// What an audit event turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Audited {
    /// Of a write that we have.
    pub(super) captured: u64,
    /// Of none: one that changed nothing, or one that we missed.
    pub(super) unmatched: u64,
}

#[derive(Debug)]
pub(super) struct Joiner {
    rules: Rules,
    /// How long a write waits for its user before it is told without.
    patience: SignedDuration,
    asked: BTreeMap<ObjectRef, Vec<Asked>>,
    recorded: Vec<Event>,
    /// Of those that were told already: shippers repeat themselves.
    events: Recent,
    /// By object, in the order in which they were stored.
    writes: BTreeMap<ObjectRef, Vec<Held>>,
    audited: Audited,
    /// Asked about and never stored.
    unconfirmed: u64,
}

/// An audit event whose write the watch has not shown yet.
#[derive(Debug)]
struct Event {
    came: Timestamp,
    recorded: Recorded,
    /// One that deletes everything goes on to be of others, too.
    is_matched: bool,
}

/// A write that the watch has shown.
#[derive(Debug)]
struct Held {
    since: Timestamp,
    watched: Watched,
    users: Vec<String>,
    witnesses: Vec<Witness>,
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Not yet: somebody may say who it was.
    Waiting {
        until: Timestamp,
    },
    /// As a person's, and not settled yet.
    Open,
    /// As a person's, and whoever reads the writes has it.
    Settled,
    LeftOut(Actor),
}

impl Joiner {
    /// `patience`: zero where nobody but the watch sees anything.
    pub(super) fn new(rules: Rules, patience: SignedDuration) -> Self {
        Self {
            rules,
            patience,
            asked: BTreeMap::new(),
            recorded: Vec::new(),
            events: Recent::new(MOST),
            writes: BTreeMap::new(),
            audited: Audited::default(),
            unconfirmed: 0,
        }
    }

    pub(super) fn apply(&mut self, sighting: Sighting, now: Timestamp) -> Vec<Known> {
        match sighting {
            Sighting::Watched(watched) => self.stored(watched, now).into_iter().collect(),
            Sighting::Asked(asked) => self.asked(asked, now),
            Sighting::Recorded(recorded) => self.recorded(recorded, now),
        }
    }

    /// Tells what has waited long enough, and forgets what is too old.
    pub(super) fn pass(&mut self, now: Timestamp) -> Vec<Known> {
        let mut known = Vec::new();
        for held in self.writes.values_mut().flatten() {
            if matches!(held.told, Told::Waiting { until } if until <= now) {
                known.extend(held.tell(&self.rules));
            }
        }
        for (object, asked) in &mut self.asked {
            let writes = self.writes.get(object).map_or(&[][..], Vec::as_slice);
            asked.retain(|one| {
                let is_kept = one.at + ASKED_IS_GOOD > now;
                let was_stored = || writes.iter().any(|held| lineage::led_to(one, &held.watched));
                self.unconfirmed += u64::from(!is_kept && !was_stored());
                is_kept
            });
        }
        self.asked.retain(|_, asked| !asked.is_empty());
        for writes in self.writes.values_mut() {
            let mut surplus = writes.len().saturating_sub(MOST_OF_ONE);
            writes.retain(|held| {
                let is_done = !held.is_open();
                let goes = is_done && (surplus > 0 || held.since + WRITE_IS_OPEN <= now);
                surplus = surplus.saturating_sub(usize::from(goes));
                !goes
            });
        }
        self.writes.retain(|_, writes| !writes.is_empty());
        let audited = &mut self.audited;
        self.recorded.retain(|event| {
            let is_kept = event.came + RECORDED_IS_GOOD > now;
            if !is_kept {
                audited.count(event.is_matched);
            }
            is_kept
        });
        known
    }

    /// Whoever reads the writes has it now.
    pub(super) fn settle(&mut self, object: &ObjectRef, id: &WriteId) {
        let found = self.writes.get_mut(object).into_iter().flatten().find(|held| held.is(id));
        if let Some(held) = found
            && held.told == Told::Open
        {
            held.told = Told::Settled;
        }
    }

    /// Whether a write of the object is on its way: until then, its state before must not be forgotten.
    pub(super) fn is_open(&self, object: &ObjectRef) -> bool {
        self.writes.get(object).into_iter().flatten().any(Held::is_open)
    }

    pub(super) fn audited(&self) -> Audited {
        self.audited
    }

    pub(super) fn unconfirmed(&self) -> u64 {
        self.unconfirmed
    }

    fn stored(&mut self, watched: Watched, now: Timestamp) -> Option<Known> {
        let writes = self.writes.entry(watched.object.clone()).or_default();
        let mut held = Held {
            since: now,
            users: Vec::new(),
            witnesses: vec![Witness::Watch],
            told: Told::Waiting { until: now + self.patience },
            watched,
        };
        if let Some(users) = lineage::users(self.asked.get(&held.watched.object), &held.watched) {
            held.says(Witness::Webhook, users);
        }
        if let Some(at) = matching::event_for(&self.recorded, &held) {
            held.says(Witness::AuditEvent, vec![self.recorded[at].recorded.user.clone()]);
            self.recorded[at].is_matched = true;
            if self.recorded[at].recorded.deed != Deed::DeleteAll {
                self.recorded.remove(at);
                self.audited.captured += 1;
            }
        }
        let waits = held.users.is_empty() && !self.patience.is_zero();
        let known = if waits { None } else { held.tell(&self.rules) };
        writes.push(held);
        known
    }

    fn asked(&mut self, asked: Asked, now: Timestamp) -> Vec<Known> {
        let object = asked.object.clone();
        let all = self.asked.entry(object.clone()).or_default();
        // It may come by way of another replica, too.
        if asked.at + ASKED_IS_GOOD <= now || all.iter().any(|one| one.review == asked.review) {
            return Vec::new();
        }
        if all.len() >= MOST_OF_ONE {
            all.remove(0);
        }
        all.push(asked);
        let mut known = Vec::new();
        for held in self.writes.get_mut(&object).into_iter().flatten() {
            if held.witnesses.contains(&Witness::Webhook) {
                continue;
            }
            if let Some(users) = lineage::users(self.asked.get(&object), &held.watched) {
                held.says(Witness::Webhook, users);
                known.extend(held.tell(&self.rules));
            }
        }
        known
    }

    fn recorded(&mut self, recorded: Recorded, now: Timestamp) -> Vec<Known> {
        if !self.events.is_new(&recorded.id) {
            return Vec::new();
        }
        let is_of_all = recorded.deed == Deed::DeleteAll;
        let mut known = Vec::new();
        loop {
            let writes = self.writes.iter_mut().filter(|(object, _)| recorded.is_about(object));
            let Some(held) = matching::write_for(writes.flat_map(|(_, writes)| writes), &recorded) else {
                break;
            };
            held.says(Witness::AuditEvent, vec![recorded.user.clone()]);
            known.extend(held.tell(&self.rules));
            if !is_of_all {
                self.audited.captured += 1;
                return known;
            }
        }
        if self.recorded.len() >= MOST {
            let oldest = self.recorded.remove(0);
            self.audited.count(oldest.is_matched);
        }
        self.recorded.push(Event { came: now, recorded, is_matched: !known.is_empty() });
        known
    }
}

impl Audited {
    fn count(&mut self, is_captured: bool) {
        if is_captured {
            self.captured += 1;
        } else {
            self.unmatched += 1;
        }
    }
}

impl Held {
    fn is(&self, id: &WriteId) -> bool {
        self.watched.uid == id.uid && self.watched.version == id.version
    }

    fn is_open(&self) -> bool {
        matches!(self.told, Told::Waiting { .. } | Told::Open)
    }

    fn says(&mut self, witness: Witness, users: Vec<String>) {
        if !self.witnesses.contains(&witness) {
            self.witnesses.push(witness);
            self.witnesses.sort();
        }
        if self.users.is_empty() {
            self.users = users;
        }
    }

    /// What is known of it now, if that is more than what was told.
    fn tell(&mut self, rules: &Rules) -> Option<Known> {
        let actor = rules.actor(&self.users, &self.watched.managers);
        let write = self.write(rules);
        let (told, known) = match (self.told, actor) {
            (Told::Waiting { .. } | Told::LeftOut(_), Actor::Person) => (Told::Open, Known::Write(write)),
            (Told::Open | Told::Settled, Actor::Person) => (self.told, Known::Amended(write)),
            (Told::Waiting { .. }, actor) => (Told::LeftOut(actor), Known::LeftOut(write, actor)),
            (Told::Open | Told::Settled, actor) => (Told::LeftOut(actor), Known::Excused(write, actor)),
            (Told::LeftOut(before), actor) if before == actor => return None,
            (Told::LeftOut(_), actor) => (Told::LeftOut(actor), Known::LeftOut(write, actor)),
        };
        self.told = told;
        Some(known)
    }

    fn write(&self, rules: &Rules) -> Write {
        let Watched {
            at,
            between: _,
            object,
            uid,
            version,
            before: _,
            verb,
            fingerprint: _,
            replicas: _,
            managers,
            fields,
        } = &self.watched;
        Write {
            at: *at,
            object: object.clone(),
            uid: uid.clone(),
            version: version.clone(),
            verb: *verb,
            users: self.users.clone(),
            manager: rules.telling(managers).cloned(),
            fields: fields.clone(),
            witnesses: self.witnesses.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
