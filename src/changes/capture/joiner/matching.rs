//! Which audit event belongs to which write. By the version, where the event has it; otherwise by object, verb, name of
//! the writer and time. Each event is of one write, and each write has one event.

use jiff::SignedDuration;

use super::{Event, Held};
use crate::changes::capture::{
    recorded::{Deed, Recorded},
    write::{Verb, Witness},
};

/// API servers of one cluster do not have quite the same time.
const SKEW: SignedDuration = SignedDuration::from_secs(1);

/// The earliest of the events that this write fits.
pub(super) fn event_for(recorded: &[Event], held: &Held) -> Option<usize> {
    let all = recorded.iter().map(|event| &event.recorded).enumerate();
    let fitting = all.filter(|(_, one)| one.is_about(&held.watched.object) && fits(one, held));
    fitting.min_by_key(|(_, one)| one.done).map(|(at, _)| at)
}

/// The earliest of the writes that this event fits; one whose user is known already goes before.
pub(super) fn write_for<'h>(
    held: impl Iterator<Item = &'h mut Held>,
    recorded: &Recorded,
) -> Option<&'h mut Held> {
    let fitting = held.filter(|held| !held.witnesses.contains(&Witness::AuditEvent) && fits(recorded, held));
    // The first of equals.
    fitting.min_by_key(|held| held.users.is_empty())
}

fn fits(recorded: &Recorded, held: &Held) -> bool {
    let watched = &held.watched;
    let is_deed = match recorded.deed {
        Deed::Create => watched.verb == Verb::Create,
        // Applying makes what is not there.
        Deed::Patch => watched.verb != Verb::Delete,
        Deed::Update => watched.verb == Verb::Update,
        Deed::Delete | Deed::DeleteAll => watched.verb == Verb::Delete,
    };
    let is_known_user = held.users.is_empty() || held.users.contains(&recorded.user);
    if !is_deed || !is_known_user || recorded.uid.as_ref().is_some_and(|uid| *uid != watched.uid) {
        return false;
    }
    if let (Some(version), true) = (&recorded.version, watched.verb != Verb::Delete) {
        return *version == watched.version;
    }
    let (from, to) = watched.between;
    let is_manager = watched.managers.is_empty() || watched.managers.contains(&recorded.manager);
    is_manager && recorded.received <= to + SKEW && recorded.done + SKEW >= from
}
