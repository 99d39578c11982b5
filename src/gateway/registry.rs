//! All downstreams as state: what is wanted, what each offered, and who shows what. Pure: no runtime, no IO.
//!
//! Rules: pilothouse's own entries win every collision; between downstreams the older one wins (by `created`,
//! then by name). A contested prefix hides all tools of the younger server; a contested name or URI drops that
//! entry alone. Resource URIs are not rewritten: a client must be able to use the URI it finds in a result.
//! What a server offered last stays shown while the server is wanted, also while it cannot be reached.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;

use super::{
    catalogue::{Entry, Kind, Route},
    downstream::{Downstream, Prefix, ServerName, ToolPolicy},
    names,
    observation::{Observation, ServerInfo, State, ToolSummary},
    offer::{Offer, Offered},
    wire::text::{Fields, string},
};

/// Calls of one downstream since the start of this process.
#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: AtomicU64,
    errors: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, failed: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.errors.fetch_add(u64::from(failed), Ordering::Relaxed);
    }
}

/// Whether a downstream can be reached; the prefix is not its affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Connecting,
    Ready,
    Unreachable { reason: String },
}

#[derive(Debug)]
struct Server {
    prefix: Prefix,
    created: Timestamp,
    policy: ToolPolicy,
    reach: Reach,
    info: Option<ServerInfo>,
    /// All that it offered, hidden tools too, named with `prefix`.
    entries: Vec<Arc<Entry>>,
    dropped: Vec<String>,
    counters: Arc<Counters>,
}

/// Wanted downstreams and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Registry {
    own: Vec<Arc<Entry>>,
    servers: BTreeMap<ServerName, Server>,
}

/// What clients and the operator are shown.
#[derive(Debug)]
pub(super) struct View {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) observations: BTreeMap<ServerName, Observation>,
}

impl Registry {
    pub(super) fn new(own: Vec<Arc<Entry>>) -> Self {
        Self { own, servers: BTreeMap::new() }
    }

    /// Registers or changes a downstream; what it offered before stays, under its new prefix.
    pub(super) fn apply(&mut self, downstream: &Downstream) -> Arc<Counters> {
        // How it is reached is the runner's affair.
        let Downstream { name, prefix, created, tools, transport: _, target: _, call_timeout: _ } =
            downstream;
        let server = self.servers.entry(name.clone()).or_insert_with(|| Server {
            prefix: prefix.clone(),
            created: *created,
            policy: tools.clone(),
            reach: Reach::Connecting,
            info: None,
            entries: Vec::new(),
            dropped: Vec::new(),
            counters: Arc::default(),
        });
        if server.prefix != *prefix {
            for entry in &mut server.entries {
                *entry = Arc::new(renamed(entry, prefix));
            }
        }
        server.prefix = prefix.clone();
        server.created = *created;
        server.policy = tools.clone();
        server.counters.clone()
    }

    pub(super) fn delete(&mut self, name: &ServerName) {
        self.servers.remove(name);
    }

    /// The answer of its last lists. Nothing happens when the server has been deleted meanwhile.
    pub(super) fn offered(&mut self, name: &ServerName, offer: Offer) {
        let Some(server) = self.servers.get_mut(name) else { return };
        server.dropped = offer.dropped;
        server.entries =
            offer.entries.into_iter().map(|offered| Arc::new(entry(name, &server.prefix, offered))).collect();
    }

    pub(super) fn greeted(&mut self, name: &ServerName, info: ServerInfo) {
        if let Some(server) = self.servers.get_mut(name) {
            server.info = Some(info);
        }
    }

    /// Whether that was news.
    pub(super) fn reached(&mut self, name: &ServerName, reach: Reach) -> bool {
        let Some(server) = self.servers.get_mut(name) else { return false };
        let changed = server.reach != reach;
        server.reach = reach;
        changed
    }

    /// Who shows what, by the rules above.
    pub(super) fn view(&self) -> View {
        let mut by_age: Vec<_> = self.servers.iter().collect();
        by_age.sort_by_key(|(name, server)| (server.created, *name));

        let mut holders: HashMap<&Prefix, &ServerName> = HashMap::new();
        let mut claimed: HashMap<(Kind, &str), Option<&ServerName>> =
            self.own.iter().map(|entry| ((entry.kind, entry.name.as_str()), None)).collect();
        let mut entries = self.own.clone();
        let mut observations = BTreeMap::new();

        for (name, server) in by_age {
            let holder = match server.prefix.as_str() {
                "" => name,
                _ => holders.entry(&server.prefix).or_insert(name),
            };
            let mut dropped = server.dropped.clone();
            let mut tools = Vec::new();
            if holder == name {
                for entry in server.entries.iter().filter(|entry| server.shows(entry)) {
                    if let Some(by) = claimed.get(&(entry.kind, entry.name.as_str())) {
                        let by = by.map_or_else(|| "pilothouse itself".to_owned(), ToString::to_string);
                        dropped.push(format!("`{}` is already offered by {by}: dropped", entry.name));
                        continue;
                    }
                    claimed.insert((entry.kind, &entry.name), Some(name));
                    entries.push(entry.clone());
                    if entry.kind == Kind::Tool {
                        tools.push(entry);
                    }
                }
            }
            tools.sort_by_key(|entry| entry.original());
            let state = if holder == name {
                server.reach.clone().into()
            } else {
                State::PrefixTaken { by: holder.to_string() }
            };
            let observation = Observation {
                state,
                server: server.info.clone(),
                tools: tools.into_iter().map(|entry| summary(entry)).collect(),
                dropped,
                calls: server.counters.calls.load(Ordering::Relaxed),
                errors: server.counters.errors.load(Ordering::Relaxed),
            };
            observations.insert(name.clone(), observation);
        }
        View { entries, observations }
    }
}

impl Server {
    fn shows(&self, entry: &Entry) -> bool {
        entry.kind != Kind::Tool || self.policy.permits(entry.original())
    }
}

impl From<Reach> for State {
    fn from(reach: Reach) -> Self {
        match reach {
            Reach::Connecting => Self::Connecting,
            Reach::Ready => Self::Ready,
            Reach::Unreachable { reason } => Self::Unreachable { reason },
        }
    }
}

impl Entry {
    /// The name at the place that answers.
    fn original(&self) -> &str {
        match &self.route {
            Route::Own => &self.name,
            Route::Downstream { server: _, original } => original,
        }
    }
}

fn entry(server: &ServerName, prefix: &Prefix, offered: Offered) -> Entry {
    let Offered { kind, original, raw, hash } = offered;
    let plain = Entry {
        kind,
        name: original.clone(),
        raw,
        hash,
        route: Route::Downstream { server: server.clone(), original },
    };
    renamed(&plain, prefix)
}

/// The entry as a server with this prefix shows it.
fn renamed(entry: &Entry, prefix: &Prefix) -> Entry {
    let mut entry = entry.clone();
    if matches!(entry.kind, Kind::Tool | Kind::Prompt) {
        let name = names::shown(prefix, entry.original());
        // Offered entries are objects; were one not, it would stay as it came.
        if name != entry.name
            && let Ok(mut fields) = Fields::parse(entry.raw.get())
        {
            fields.set(entry.kind.key(), string(&name));
            entry.raw = fields.to_raw();
        }
        entry.name = name;
    }
    entry
}

fn summary(entry: &Entry) -> ToolSummary {
    ToolSummary {
        name: entry.name.clone(),
        hash: entry.hash.clone(),
        // A token is about four characters of JSON.
        tokens: u32::try_from(entry.raw.get().len().div_ceil(4)).unwrap_or(u32::MAX),
    }
}

/// Names that stand twice would hide a mistake of the program itself.
pub(super) fn without_repeats(own: Vec<Entry>) -> Vec<Arc<Entry>> {
    let mut seen = HashSet::new();
    own.into_iter().filter(|entry| seen.insert((entry.kind, entry.name.clone()))).map(Arc::new).collect()
}

#[cfg(test)]
mod tests;
