//! Which questions of the API server led to what was stored: by the version before and the content after.
//!
//! A question says what was there and what shall be. It may be refused later, or asked again after a conflict; so it
//! counts only where the watch shows that very content right after that very version.

use crate::changes::capture::{
    asked::{Asked, Wanted},
    tracker::Watched,
    write::Verb,
};

/// More states between two that the watch has shown are not followed.
const LONGEST: usize = 16;

/// Whose questions led to this write; `None` where none did, or where it may have been either of two people.
pub(super) fn users(asked: Option<&Vec<Asked>>, watched: &Watched) -> Option<Vec<String>> {
    let asked: Vec<&Asked> =
        asked?.iter().filter(|one| one.uid.as_ref().is_none_or(|uid| *uid == watched.uid)).collect();
    let direct = asked.iter().filter(|one| led_to(one, watched));
    let mut users: Vec<&String> = direct.map(|one| &one.user).collect();
    users.sort();
    users.dedup();
    match users.as_slice() {
        [user] => Some(vec![(*user).clone()]),
        [] => chain(&asked, watched, watched.before.as_ref()?, LONGEST),
        // Two who wanted the same at once: one of them was too late, and nothing says which.
        _ => None,
    }
}

/// Whether the question led to this write, as far as one alone says.
pub(super) fn led_to(asked: &Asked, watched: &Watched) -> bool {
    asked.uid.as_ref().is_none_or(|uid| *uid == watched.uid)
        && leads_to(asked, watched)
        && follows(asked, watched)
}

/// What it wants is what was stored.
fn leads_to(asked: &Asked, watched: &Watched) -> bool {
    match (&asked.wanted, watched.verb) {
        (Wanted::Gone, Verb::Delete) => true,
        (Wanted::Content(content), Verb::Create | Verb::Update) => *content == watched.fingerprint,
        (Wanted::Replicas(replicas), Verb::Update) => watched.replicas == Some(*replicas),
        _ => false,
    }
}

/// What it found is what was there. A delete does not depend on it.
fn follows(asked: &Asked, watched: &Watched) -> bool {
    watched.verb == Verb::Delete || watched.before.is_none() || asked.before == watched.before
}

/// The watch has shown several writes as one: the questions between say what it has not shown, each of which found the
/// state that the one before wanted.
fn chain(asked: &[&Asked], watched: &Watched, version: &str, left: usize) -> Option<Vec<String>> {
    let left = left.checked_sub(1)?;
    asked.iter().filter(|one| one.before.as_deref() == Some(version)).find_map(|one| {
        let Wanted::Content(wanted) = &one.wanted else { return None };
        let next =
            asked.iter().find(|next| next.found.as_ref() == Some(wanted) && next.before != one.before)?;
        let mut users = vec![one.user.clone()];
        let rest = if leads_to(next, watched) {
            vec![next.user.clone()]
        } else {
            chain(asked, watched, next.before.as_deref()?, left)?
        };
        users.extend(rest.into_iter().filter(|user| *user != one.user));
        Some(users)
    })
}
