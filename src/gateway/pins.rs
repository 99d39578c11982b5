//! The tools of one server as they were when it was registered, and what has changed since. Pure.
//!
//! A server that was looked at and found good may define its tools anew at any time; a model believes the new
//! definition like the old one. The first definition is remembered for as long as the server is registered: here, on
//! the volume of the replica ([`super::remembered`]) and, by its hash, in the status of the MCPServer, from where a
//! replica learns it that comes later.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    sync::Arc,
};

use super::{
    catalogue::{Entry, Kind},
    contract::difference,
    downstream::{Pinning, Terms},
};

/// By the server's own name of the tool.
#[derive(Debug, Default)]
pub(super) struct Pinned(BTreeMap<String, Pin>);

#[derive(Clone, Debug)]
enum Pin {
    Seen(Arc<Entry>),
    /// Its hash; somebody else has seen it.
    Noted(Arc<str>),
}

/// Tools of one server that are remembered: twice as many as it may offer at once.
const MOST: usize = 20_000;
/// When they are more, only the hashes of those that are gone are kept.
const WHOLE: usize = 1_000;

/// Pins that were written before all digits were.
const SHORT: usize = 12;

/// Whether a noted hash is of what has this hash. A short one is so only until the definition has been seen, from when
/// on all of its digits count: somebody can find another definition with the same few.
fn is_of(noted: &str, hash: &str) -> bool {
    noted == hash || noted.len() == SHORT && hash.starts_with(noted)
}

impl Pin {
    fn hash(&self) -> &Arc<str> {
        match self {
            Self::Seen(entry) => &entry.hash,
            Self::Noted(hash) => hash,
        }
    }

    fn is(&self, entry: &Entry) -> bool {
        match self {
            Self::Seen(seen) => seen.hash == entry.hash,
            Self::Noted(hash) => is_of(hash, &entry.hash),
        }
    }
}

impl Pinned {
    /// Remembers tools that were never seen. One that left and comes back is held to what it was. Of too many
    /// only the hashes are kept, and no further ones are remembered: a server can invent names for ever.
    pub(super) fn learn(&mut self, entries: &[Arc<Entry>]) {
        if self.0.len() > WHOLE {
            let tools: BTreeSet<&str> = entries.iter().map(|entry| entry.original()).collect();
            for (_, pin) in self.0.iter_mut().filter(|(tool, _)| !tools.contains(tool.as_str())) {
                *pin = Pin::Noted(pin.hash().clone());
            }
        }
        for entry in entries.iter().filter(|entry| entry.kind == Kind::Tool) {
            let is_full = self.0.len() >= MOST;
            match self.0.entry(entry.original().to_owned()) {
                btree_map::Entry::Vacant(_) if is_full => {}
                btree_map::Entry::Vacant(free) => {
                    free.insert(Pin::Seen(entry.clone()));
                }
                // Now it is known in full.
                btree_map::Entry::Occupied(mut held) => {
                    if matches!(held.get(), Pin::Noted(_)) && held.get().is(entry) {
                        held.insert(Pin::Seen(entry.clone()));
                    }
                }
            }
        }
    }

    /// What others know of tools that were never seen here.
    pub(super) fn note(&mut self, hashes: &BTreeMap<String, String>) {
        for (tool, hash) in hashes {
            let pin = self.0.entry(tool.clone()).or_insert_with(|| Pin::Noted(hash.as_str().into()));
            if matches!(pin, Pin::Noted(short) if is_of(short, hash)) {
                *pin = Pin::Noted(hash.as_str().into());
            }
        }
    }

    /// The same, in words for others: the hash of each tool as it was.
    pub(super) fn hashes(&self) -> BTreeMap<String, Arc<str>> {
        self.0.iter().map(|(tool, pin)| (tool.clone(), pin.hash().clone())).collect()
    }

    /// Tools that are not among these as they were, as far as they were seen.
    pub(super) fn besides<'a>(&'a self, entries: &'a [Arc<Entry>]) -> impl Iterator<Item = &'a Arc<Entry>> {
        let tools = entries.iter().filter(|entry| entry.kind == Kind::Tool);
        let now: BTreeMap<_, _> = tools.map(|tool| (tool.original(), &tool.hash)).collect();
        let is_there = move |pin: &Arc<Entry>| now.get(pin.original()) == Some(&&pin.hash);
        let seen = self.0.values().filter_map(|pin| match pin {
            Pin::Seen(entry) => Some(entry),
            Pin::Noted(_) => None,
        });
        seen.filter(move |pin| !is_there(pin))
    }

    /// From now on what is approved counts as what was registered.
    pub(super) fn approve(&mut self, terms: &Approval, entries: &[Arc<Entry>]) {
        for entry in entries.iter().filter(|entry| terms.approves(entry)) {
            self.0.insert(entry.original().to_owned(), Pin::Seen(entry.clone()));
        }
    }

    /// Not shown, since it changed and nobody approved that, or since nobody could tell whether it changes.
    pub(super) fn hides(&self, terms: &Approval, entry: &Entry) -> bool {
        terms.pinning == Pinning::Enforce && (self.before(entry).is_some() || self.is_beyond(entry))
    }

    /// It came when as many others were remembered as can be.
    fn is_beyond(&self, entry: &Entry) -> bool {
        entry.kind == Kind::Tool && self.0.len() >= MOST && !self.0.contains_key(entry.original())
    }

    /// One sentence for each tool that changed.
    pub(super) fn changed(&self, terms: &Approval, entries: &[Arc<Entry>]) -> Vec<String> {
        let changed = entries.iter().filter_map(|entry| {
            let difference = match self.before(entry)? {
                Pin::Seen(before) => difference(&before.raw, &entry.raw),
                Pin::Noted(_) => "what it was is not remembered here".to_owned(),
            };
            let said = format!(
                "tool `{}` is not defined as it was when the server was registered ({difference})",
                entry.original()
            );
            Some(match terms.pinning {
                Pinning::Report => said,
                Pinning::Enforce => format!("{said}: it is hidden until {}", how_to_approve(entry)),
            })
        });
        changed.collect()
    }

    /// What the tool was, when it is something else now.
    fn before(&self, entry: &Entry) -> Option<&Pin> {
        if entry.kind != Kind::Tool {
            return None;
        }
        self.0.get(entry.original()).filter(|before| !before.is(entry))
    }
}

/// What the one who declared the server says of its tools.
#[derive(Clone, Debug, Default)]
pub(super) struct Approval {
    pinning: Pinning,
    approved: BTreeSet<String>,
}

impl From<&Terms> for Approval {
    fn from(terms: &Terms) -> Self {
        Self { pinning: terms.pinning, approved: terms.approved.clone() }
    }
}

impl Approval {
    /// Whether a person has looked at this very definition.
    pub(super) fn approves(&self, entry: &Entry) -> bool {
        entry.kind == Kind::Tool && self.approved.contains(&mark(entry))
    }
}

/// What has to be done for this definition to be shown.
pub(super) fn how_to_approve(entry: &Entry) -> String {
    format!("the annotation pilothouse.dev/approved-tools has {}", mark(entry))
}

fn mark(entry: &Entry) -> String {
    format!("{}={}", entry.original(), entry.hash)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeMap, sync::Arc};

    use super::{Approval, MOST, Pinned};
    use crate::gateway::{Entry, Kind, Pinning, Route, canonical, wire::text::raw};

    fn tool(description: &str) -> Arc<Entry> {
        let raw = raw(&serde_json::json!({ "name": "pay", "description": description }));
        let (kind, name, hash) = (Kind::Tool, "pay".to_owned(), canonical::hash(raw.get()).into());
        Arc::new(Entry { kind, name, raw, hash, route: Route::Own, exposure: Arc::default() })
    }

    /// Another definition whose hash begins with the same twelve digits, as its own server may find one.
    fn alike(tool: &Entry) -> Arc<Entry> {
        let hash = format!("{}{}", &tool.hash[..12], "0".repeat(52)).into();
        Arc::new(Entry { hash, ..tool.clone() })
    }

    fn noted(hash: &str) -> BTreeMap<String, String> {
        [("pay".to_owned(), hash.to_owned())].into()
    }

    fn enforcing(approved: &[String]) -> Approval {
        Approval { pinning: Pinning::Enforce, approved: approved.iter().cloned().collect() }
    }

    #[test]
    fn a_short_pin_of_before_matches_once_and_becomes_a_whole_one() {
        let (pay, other) = (tool("Pays."), tool("Pays, and reads your mail."));
        let mut pinned = Pinned::default();
        pinned.note(&noted(&pay.hash[..12]));
        assert!(pinned.hides(&enforcing(&[]), &other));
        assert!(!pinned.hides(&enforcing(&[]), &pay));
        pinned.learn(std::slice::from_ref(&pay));
        assert_eq!(pinned.hashes()["pay"], pay.hash);
        assert!(pinned.hides(&enforcing(&[]), &alike(&pay)));
        pinned.note(&noted(&pay.hash[..12]));
        assert_eq!(pinned.hashes()["pay"], pay.hash, "it stays whole");
    }

    #[test]
    fn a_server_that_invents_names_for_ever_takes_nobodys_place() {
        let named = |name: String| Arc::new(Entry { name, ..Entry::clone(&tool("Pays.")) });
        let mut pinned = Pinned::default();
        pinned.learn(&[tool("Pays.")]);
        let many: Vec<_> = (0..MOST).map(|number| named(format!("a{number}"))).collect();
        pinned.learn(&many);
        let late = named("late".to_owned());
        pinned.learn(std::slice::from_ref(&late));
        assert_eq!(pinned.hashes().len(), MOST);
        assert!(pinned.hides(&enforcing(&[]), &late), "nobody could tell whether it changes");
        assert!(pinned.hides(&enforcing(&[]), &tool("Reads your mail.")), "what was first is still known");
        assert!(!pinned.hides(&enforcing(&[]), &tool("Pays.")));
    }

    #[test]
    fn what_another_replica_knows_in_full_takes_the_place_of_a_short_pin() {
        let pay = tool("Pays.");
        let mut pinned = Pinned::default();
        pinned.note(&noted(&pay.hash[..12]));
        pinned.note(&noted(&pay.hash));
        assert!(pinned.hides(&enforcing(&[]), &alike(&pay)));
        assert!(!pinned.hides(&enforcing(&[]), &pay));
    }

    #[test]
    fn an_approval_needs_all_digits() {
        let pay = tool("Pays.");
        let mark = |digits: usize| format!("pay={}", &pay.hash[..digits]);
        assert!(enforcing(&[mark(64)]).approves(&pay));
        assert!(!enforcing(&[mark(12)]).approves(&pay));
        assert!(!enforcing(&[mark(64)]).approves(&alike(&pay)));
    }
}
