//! The immutable list of all tools, prompts and resources of one moment, ours and the downstreams'.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    declared::Declared,
    downstream::{ServerName, Terms},
    observation::digest,
    uris,
    wire::Raw,
};
use crate::caller::{Audience, Caller};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    Downstream { server: Arc<ServerName>, original: String },
}

impl Route {
    /// The downstream that answers; nothing for pilothouse itself.
    pub fn server(&self) -> Option<&ServerName> {
        match self {
            Self::Own => None,
            Self::Downstream { server, .. } => Some(server),
        }
    }
}

/// One tool, prompt, resource or template, as clients see it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    /// The name (tools, prompts), URI (resources) or URI template that clients use.
    pub name: String,
    /// The definition as it came, with the name (or URI) replaced by `name`.
    pub raw: Raw,
    /// The SHA-256 of what the definition says, whatever the order of its members, in hex.
    pub hash: Arc<str>,
    pub route: Route,
    pub exposure: Arc<Exposure>,
}

/// Who may use the entries of one server, and how what they answer leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Absent: everybody.
    pub audience: Option<Audience>,
    /// Secrets are taken out.
    pub redact: bool,
}

impl Default for Exposure {
    fn default() -> Self {
        Self { audience: None, redact: true }
    }
}

impl From<&Terms> for Exposure {
    fn from(terms: &Terms) -> Self {
        Self { audience: terms.audience.clone(), redact: terms.redact }
    }
}

impl Entry {
    /// Whether it is for this caller, as far as its own server says.
    pub fn admits(&self, caller: &Caller) -> bool {
        self.exposure.audience.as_ref().is_none_or(|audience| audience.admits(caller))
    }

    /// An entry that pilothouse answers itself.
    pub fn own(kind: Kind, name: &str, raw: Raw) -> Self {
        let hash = digest(raw.get().as_bytes()).into();
        Self { kind, name: name.to_owned(), hash, raw, route: Route::Own, exposure: Arc::default() }
    }
}

/// Entries are sorted by kind and name; the version grows with every change.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    pub version: u64,
    entries: Vec<Arc<Entry>>,
    stale: Stale,
    declared: Declarations,
    /// Servers that have a scheme of URIs in common with others, or with pilothouse itself.
    sharing: BTreeSet<ServerName>,
}

/// Servers whose entries are those of an earlier time, since they do not answer now: when they were listed last, if
/// that is known.
pub(super) type Stale = BTreeMap<ServerName, Option<Timestamp>>;

/// What servers declare beside their lists.
pub(super) type Declarations = BTreeMap<ServerName, Arc<Declared>>;

impl Catalogue {
    pub fn new(version: u64, mut entries: Vec<Arc<Entry>>) -> Self {
        entries.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        let sharing = sharing(&entries);
        Self { version, entries, stale: Stale::new(), declared: Declarations::new(), sharing }
    }

    /// What a server declares beside its lists.
    pub fn declared(&self, server: &ServerName) -> Option<&Declared> {
        self.declared.get(server).map(AsRef::as_ref)
    }

    /// All that servers declare beside their lists.
    pub fn declares(&self) -> impl Iterator<Item = &Declared> {
        self.declared.values().map(AsRef::as_ref)
    }

    /// Whether a URI of that server could also be another's.
    pub fn shares_uris(&self, server: &ServerName) -> bool {
        self.sharing.contains(server)
    }

    /// When the entries of a server were listed, where that is no news of this moment: `Some(None)` when even that
    /// is not known.
    pub fn stale(&self, server: &ServerName) -> Option<Option<Timestamp>> {
        self.stale.get(server).copied()
    }

    /// The catalogue after this one, or `None` when these are the same entries.
    pub(super) fn next(
        &self,
        entries: Vec<Arc<Entry>>,
        stale: Stale,
        declared: Declarations,
    ) -> Option<Self> {
        let next = Self { stale, declared, ..Self::new(self.version + 1, entries) };
        let is_same = |a: &Entry, b: &Entry| {
            let Entry { kind, name, raw: _, hash, route, exposure } = a;
            (*kind, name, hash, route, exposure) == (b.kind, &b.name, &b.hash, &b.route, &b.exposure)
        };
        let same = self.stale == next.stale
            && self.declared == next.declared
            && self.entries.len() == next.entries.len()
            && self.entries.iter().zip(&next.entries).all(|(a, b)| Arc::ptr_eq(a, b) || is_same(a, b));
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

/// The servers with a resource or template whose scheme is not theirs alone.
fn sharing(entries: &[Arc<Entry>]) -> BTreeSet<ServerName> {
    let mut of_scheme: HashMap<String, BTreeSet<Option<&Arc<ServerName>>>> = HashMap::new();
    for entry in entries.iter().filter(|entry| matches!(entry.kind, Kind::Resource | Kind::ResourceTemplate))
    {
        let (server, own) = match &entry.route {
            Route::Own => (None, &entry.name),
            Route::Downstream { server, original } => (Some(server), original),
        };
        of_scheme.entry(uris::scheme(own)).or_default().insert(server);
    }
    let shared = of_scheme.into_values().filter(|servers| servers.len() > 1);
    shared.flatten().flatten().map(|server| ServerName::clone(server)).collect()
}
