//! The immutable list of all tools, prompts and resources of one moment, ours and the downstreams'.

use std::sync::Arc;

use super::{downstream::ServerName, observation::digest, wire::Raw};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Tool,
    Prompt,
    Resource,
    ResourceTemplate,
}

/// Where an entry is answered; looked up, never split from a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// By pilothouse itself.
    Own,
    /// By a downstream, which knows the entry as `original` (a tool's or prompt's name, a resource's URI).
    Downstream { server: ServerName, original: String },
}

/// One tool, prompt, resource or template, as clients see it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    /// The name (tools, prompts), URI (resources) or URI template that clients use.
    pub name: String,
    /// The definition as it came, with the name (or URI) replaced by `name`.
    pub raw: Raw,
    /// First 12 hex digits of the SHA-256 of the definition as it came.
    pub hash: String,
    pub route: Route,
}

impl Entry {
    /// An entry that pilothouse answers itself.
    pub fn own(kind: Kind, name: &str, raw: Raw) -> Self {
        Self { kind, name: name.to_owned(), hash: digest(raw.get().as_bytes(), 12), raw, route: Route::Own }
    }
}

/// Entries are sorted by kind and name; the version grows with every change.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    pub version: u64,
    entries: Vec<Arc<Entry>>,
}

impl Catalogue {
    pub fn new(version: u64, mut entries: Vec<Arc<Entry>>) -> Self {
        entries.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Self { version, entries }
    }

    /// The catalogue after this one, or `None` when these are the same entries.
    pub(super) fn next(&self, entries: Vec<Arc<Entry>>) -> Option<Self> {
        let next = Self::new(self.version + 1, entries);
        let key =
            |entry: &Arc<Entry>| (entry.kind, entry.name.clone(), entry.hash.clone(), entry.route.clone());
        let same = self.entries.len() == next.entries.len()
            && self.entries.iter().zip(&next.entries).all(|(a, b)| Arc::ptr_eq(a, b) || key(a) == key(b));
        (!same).then_some(next)
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    pub fn find(&self, kind: Kind, name: &str) -> Option<&Arc<Entry>> {
        let at = self.entries.binary_search_by(|entry| (entry.kind, entry.name.as_str()).cmp(&(kind, name)));
        self.entries.get(at.ok()?)
    }
}
