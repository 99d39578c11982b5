//! The tools of one server as they were when it was registered, and what has changed since. Pure.
//!
//! A server that was looked at and found good may define its tools anew at any time; a model believes the new
//! definition like the old one. The first definition is remembered for as long as the server is registered.

use std::{
    collections::{BTreeMap, btree_map},
    sync::Arc,
};

use super::{
    catalogue::{Entry, Kind},
    contract::difference,
    downstream::Pinning,
};

/// By the server's own name of the tool.
#[derive(Debug, Default)]
pub(super) struct Pinned(BTreeMap<String, Arc<Entry>>);

impl Pinned {
    /// Remembers tools that were never seen. One that left and comes back is held to what it was.
    pub(super) fn learn(&mut self, entries: &[Arc<Entry>]) {
        for entry in entries.iter().filter(|entry| entry.kind == Kind::Tool) {
            if let btree_map::Entry::Vacant(free) = self.0.entry(entry.original().to_owned()) {
                free.insert(entry.clone());
            }
        }
    }

    /// From now on what is approved counts as what was registered.
    pub(super) fn approve(&mut self, pinning: &Pinning, entries: &[Arc<Entry>]) {
        let Pinning::Enforce { approved } = pinning else { return };
        for entry in entries.iter().filter(|entry| approved.contains(&mark(entry))) {
            self.0.insert(entry.original().to_owned(), entry.clone());
        }
    }

    /// Not shown, since it changed and nobody approved that.
    pub(super) fn hides(&self, pinning: &Pinning, entry: &Entry) -> bool {
        matches!(pinning, Pinning::Enforce { .. }) && self.before(entry).is_some()
    }

    /// One sentence for each tool that changed.
    pub(super) fn changed(&self, pinning: &Pinning, entries: &[Arc<Entry>]) -> Vec<String> {
        let changed = entries.iter().filter_map(|entry| {
            let before = self.before(entry)?;
            let difference = difference(&before.raw, &entry.raw);
            let said = format!(
                "tool `{}` is not defined as it was when the server was registered ({difference})",
                entry.original()
            );
            Some(match pinning {
                Pinning::Report => said,
                Pinning::Enforce { .. } => format!(
                    "{said}: it is hidden until the annotation pilothouse.dev/approved-tools has {}",
                    mark(entry)
                ),
            })
        });
        changed.collect()
    }

    /// What the tool was, when it is something else now.
    fn before(&self, entry: &Entry) -> Option<&Arc<Entry>> {
        if entry.kind != Kind::Tool {
            return None;
        }
        self.0.get(entry.original()).filter(|before| before.hash != entry.hash)
    }
}

fn mark(entry: &Entry) -> String {
    format!("{}={}", entry.original(), entry.hash)
}
