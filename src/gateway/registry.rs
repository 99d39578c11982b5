//! All downstreams as state: what is wanted, what each offered, and who shows what. Pure: no runtime, no IO.
//!
//! Rules: pilothouse's own entries win every collision; between downstreams the older one wins (by `created`,
//! then by name). A contested prefix hides all tools of the younger server; a contested name drops that entry alone.
//! A resource's URI stays as it is, since a client must be able to use the URI that it finds in a result; a contested
//! one names the younger server (`uris`).
//! What a server offered last stays shown while the server is wanted, also while it cannot be reached.

mod quarantine;
mod recollection;
mod shown;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use self::shown::{Claimed, Claims, summary};
use super::{
    catalogue::{Declarations, Entry, Exposure, Kind, Route, Stale},
    contract::ToolDefinition,
    declared::Declared,
    downstream::{Downstream, Member, Prefix, ServerName, Target, ToolPolicy},
    figures::Counters,
    observation::{Observation, ServerInfo, State},
    offer::Offer,
    pins::{Approval, Pinned},
    scan::Doubt,
    together::{Routes, Together},
    wire::Raw,
};

/// Whether a downstream can be reached; the prefix is not its affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// There is no endpoint.
    Empty,
    Connecting,
    Ready,
    Unreachable {
        reason: String,
    },
}

#[derive(Debug)]
struct Server {
    prefix: Prefix,
    created: Timestamp,
    policy: ToolPolicy,
    exposure: Arc<Exposure>,
    approval: Approval,
    /// Its tools as they were when it was registered.
    pinned: Pinned,
    /// The same as hashes, for others.
    pins: Arc<BTreeMap<String, Arc<str>>>,
    /// What speaks against its tools, by its own name of each.
    doubts: BTreeMap<String, Doubt>,
    /// Why tools are not to be trusted among the tools that there are now, by the server's own name.
    quarantined: BTreeMap<String, String>,
    /// It may have no endpoint and still be there for whoever calls.
    wakes: bool,
    reach: Reach,
    info: Option<ServerInfo>,
    /// What it declared in its last handshake, where that is more than lists.
    declared: Option<Arc<Declared>>,
    /// All that it offered, hidden tools too, named with `prefix`.
    entries: Vec<Arc<Entry>>,
    dropped: Vec<String>,
    /// When its lists were read last.
    listed: Option<Timestamp>,
    /// That was before the start of this process.
    is_remembered: bool,
    counters: Arc<Counters>,
    is_pool: bool,
    members: BTreeMap<ServerName, Seen>,
    routes: Arc<Routes>,
}

/// What is known of a member of a pool.
#[derive(Debug, Default)]
struct Seen {
    wakes: bool,
    /// Nothing before the pool's runner has looked.
    reach: Option<Reach>,
    info: Option<ServerInfo>,
    /// Its lists were read.
    is_listed: bool,
    left_out: Vec<String>,
}

/// How a member stands at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberStanding {
    pub(super) reach: Reach,
    pub(super) info: Option<ServerInfo>,
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
    pub(super) stale: Stale,
    pub(super) declared: Declarations,
    pub(super) observations: BTreeMap<ServerName, Observation>,
}

impl Registry {
    pub(super) fn new(own: Vec<Arc<Entry>>) -> Self {
        Self { own, servers: BTreeMap::new() }
    }

    /// Registers or changes a downstream; what it offered before stays, under its new prefix.
    pub(super) fn apply(&mut self, downstream: &Downstream) -> Arc<Counters> {
        // How it is reached is the runner's affair.
        let Downstream { name, prefix, created, tools, terms, transport: _, target: _, call_timeout: _ } =
            downstream;
        let wakes =
            downstream.parts().iter().any(|(_, part)| part.is_ok_and(|part| part.wakes_within.is_some()));
        let server = self.servers.entry(name.clone()).or_insert_with(|| Server {
            prefix: prefix.clone(),
            created: *created,
            policy: tools.clone(),
            exposure: Arc::default(),
            approval: Approval::default(),
            pinned: Pinned::default(),
            pins: Arc::default(),
            doubts: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            wakes: false,
            reach: Reach::Connecting,
            info: None,
            declared: None,
            entries: Vec::new(),
            dropped: Vec::new(),
            listed: None,
            is_remembered: false,
            counters: Arc::default(),
            is_pool: false,
            members: BTreeMap::new(),
            routes: Arc::default(),
        });
        let exposure = Exposure::from(terms);
        let is_shown_otherwise =
            server.prefix != *prefix || server.policy.rename != tools.rename || *server.exposure != exposure;
        server.prefix = prefix.clone();
        server.created = *created;
        server.policy = tools.clone();
        server.exposure = Arc::new(exposure);
        server.approval = Approval::from(terms);
        server.pinned.note(&terms.pins);
        server.wakes = wakes;
        server.is_pool = matches!(downstream.target, Target::Members(_));
        server.keep(downstream.members());
        let before = is_shown_otherwise.then(|| server.names());
        if is_shown_otherwise {
            server.entries =
                std::mem::take(&mut server.entries).iter().map(|entry| server.shown_as(entry)).collect();
        }
        server.settle();
        let counters = server.counters.clone();
        if let Some(before) = before {
            self.suspect(name, &before);
        }
        counters
    }

    pub(super) fn delete(&mut self, name: &ServerName) {
        let before = self.servers.remove(name).map(|server| server.names()).unwrap_or_default();
        self.suspect(name, &before);
    }

    /// The answer of its last lists. Nothing happens when the server has been deleted meanwhile.
    pub(super) fn offered(&mut self, name: &ServerName, offer: Offer) {
        let Some(server) = self.servers.get_mut(name) else { return };
        let before = server.names();
        server.dropped = offer.dropped;
        (server.listed, server.is_remembered) = (offer.read_at, false);
        server.entries = server.shown(name, offer.entries);
        server.pinned.learn(&server.entries);
        server.doubt();
        server.settle();
        self.suspect(name, &before);
    }

    /// When its lists were read last.
    pub(super) fn listed(&self, name: &ServerName) -> Option<Timestamp> {
        self.servers.get(name)?.listed
    }

    /// As [`Self::offered`], for a pool whose members offer this together.
    pub(super) fn offered_together(&mut self, name: &ServerName, together: Together, routes: Arc<Routes>) {
        let Together { offer, routes: _, mut left_out } = together;
        if let Some(server) = self.servers.get_mut(name) {
            server.routes = routes;
            for (member, seen) in &mut server.members {
                let left_out = left_out.remove(member);
                seen.is_listed = left_out.is_some();
                seen.left_out = left_out.unwrap_or_default();
            }
        }
        self.offered(name, offer);
    }

    /// Whether that was news.
    pub(super) fn members_stand(
        &mut self,
        name: &ServerName,
        standings: BTreeMap<ServerName, MemberStanding>,
    ) -> bool {
        let Some(server) = self.servers.get_mut(name) else { return false };
        let mut is_news = false;
        for (member, MemberStanding { reach, info }) in standings {
            let Some(seen) = server.members.get_mut(&member) else { continue };
            if seen.reach.as_ref() != Some(&reach) || seen.info != info {
                is_news = true;
                (seen.reach, seen.info) = (Some(reach), info);
            }
        }
        is_news
    }

    /// The tools it offered last, hidden ones too; of a member of a pool, those that are called there.
    pub(super) fn definitions(&self, name: &ServerName) -> Vec<ToolDefinition> {
        let of_pool = || {
            let mut pools = self.servers.values();
            let pool = pools.find(|server| server.members.get(name).is_some_and(|seen| seen.is_listed));
            pool.map(|pool| (pool, Some(name)))
        };
        let found = self.servers.get(name).map(|server| (server, None)).or_else(of_pool);
        let entries = found.into_iter().flat_map(|(server, member)| {
            let answers =
                move |entry: &&Arc<Entry>| member.is_none_or(|member| server.answers(member, entry));
            server.entries.iter().filter(answers)
        });
        entries
            .filter(|entry| entry.kind == Kind::Tool)
            .map(|entry| ToolDefinition { name: entry.original().to_owned(), raw: entry.raw.clone() })
            .collect()
    }

    /// One tool as its server gave it, under its server's name for it.
    pub(super) fn definition(&self, name: &ServerName, tool: &str) -> Option<Raw> {
        let mut entries = self.servers.get(name)?.entries.iter();
        let entry = entries.find(|entry| entry.kind == Kind::Tool && entry.original() == tool)?;
        Some(entry.raw.clone())
    }

    pub(super) fn greeted(&mut self, name: &ServerName, info: ServerInfo) {
        if let Some(server) = self.servers.get_mut(name) {
            server.info = Some(info);
        }
    }

    /// What the last handshake with it, or with a member of the pool, declared.
    pub(super) fn declares(&mut self, name: &ServerName, declared: Option<Arc<Declared>>) {
        if let Some(server) = self.servers.get_mut(name) {
            server.declared = declared;
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
        let mut claims = Claims::of(&self.own);
        let mut entries = self.own.clone();
        let (mut observations, mut stale) = (BTreeMap::new(), Stale::new());
        let mut declared = BTreeMap::new();

        for (name, server) in by_age {
            let holder = match server.prefix.as_str() {
                "" => name,
                _ => holders.entry(&server.prefix).or_insert(name),
            };
            let mut dropped = server.dropped.clone();
            let changed = server.pinned.changed(&server.approval, &server.entries);
            if server.is_stale() {
                stale.insert(name.clone(), server.listed);
            }
            let shown = if holder == name {
                declared.extend(server.declared.clone().map(|declared| (name.clone(), declared)));
                claims.claim(name, server.entries.iter().filter(|entry| server.shows(entry)))
            } else {
                Claimed::default()
            };
            dropped.extend(shown.dropped);
            let mut tools: Vec<_> = shown.entries.iter().filter(|entry| entry.kind == Kind::Tool).collect();
            tools.sort_by_key(|entry| entry.original());
            let taken = (holder != name).then(|| State::PrefixTaken { by: holder.to_string() });
            for (member, seen) in &server.members {
                let tools = tools.iter().filter(|entry| seen.is_listed && server.answers(member, entry));
                let observation = Observation {
                    state: taken.clone().unwrap_or_else(|| seen.state()),
                    server: seen.info.clone(),
                    tools: tools.map(|entry| summary(entry)).collect(),
                    dropped: seen.left_out.clone(),
                    changed: Vec::new(),
                    quarantined: Vec::new(),
                    pins: Arc::default(),
                    calls: 0,
                    errors: 0,
                    pool: Some(name.clone()),
                };
                observations.insert(member.clone(), observation);
            }
            let observation = Observation {
                state: taken.unwrap_or_else(|| server.state()),
                server: server.info.clone(),
                tools: tools.into_iter().map(|entry| summary(entry)).collect(),
                dropped,
                changed,
                quarantined: server.quarantine(),
                pins: server.pins.clone(),
                calls: server.counters.calls(),
                errors: server.counters.errors(),
                pool: server.is_pool.then(|| name.clone()),
            };
            observations.insert(name.clone(), observation);
            entries.extend(shown.entries);
        }
        View { entries, stale, declared, observations }
    }
}

impl Server {
    fn shows(&self, entry: &Entry) -> bool {
        entry.kind != Kind::Tool
            || self.policy.permits(entry.original())
                && !self.pinned.hides(&self.approval, entry)
                && self.suspected(entry).is_none()
    }

    /// Its entries or what is said of them changed.
    fn settle(&mut self) {
        self.pinned.approve(&self.approval, &self.entries);
        let pins = self.pinned.hashes();
        if *self.pins != pins {
            self.pins = Arc::new(pins);
        }
    }

    /// What is shown of it is what it offered at another time; it may be something else by now.
    fn is_stale(&self) -> bool {
        let is_away = match self.reach {
            Reach::Ready => false,
            // Asleep it changes nothing.
            Reach::Empty => !self.wakes,
            Reach::Connecting | Reach::Unreachable { .. } => true,
        };
        !self.entries.is_empty() && (is_away || self.is_remembered)
    }

    /// Without an endpoint it is asleep, once it is known what it offers.
    fn state(&self) -> State {
        state(&self.reach, self.wakes && !self.entries.is_empty())
    }

    /// Those of before that are still there keep what is known of them.
    fn keep(&mut self, members: &[Member]) {
        let mut before = std::mem::take(&mut self.members);
        for Member { server, reached } in members {
            let mut seen = before.remove(server).unwrap_or_default();
            seen.wakes = reached.as_ref().is_ok_and(|reached| reached.wakes_within.is_some());
            self.members.insert(server.clone(), seen);
        }
    }

    /// Whether calls of this entry go to that member.
    fn answers(&self, member: &ServerName, entry: &Entry) -> bool {
        self.routes.admits(Some(&(entry.kind, entry.original().to_owned())), member)
    }
}

impl Seen {
    fn state(&self) -> State {
        state(self.reach.as_ref().unwrap_or(&Reach::Connecting), self.wakes && self.is_listed)
    }
}

fn state(reach: &Reach, may_sleep: bool) -> State {
    match reach {
        Reach::Empty if may_sleep => State::Asleep,
        Reach::Empty | Reach::Connecting => State::Connecting,
        Reach::Ready => State::Ready,
        Reach::Unreachable { reason } => State::Unreachable { reason: reason.clone() },
    }
}

impl Entry {
    /// The name at the place that answers.
    pub(super) fn original(&self) -> &str {
        match &self.route {
            Route::Own => &self.name,
            Route::Downstream { server: _, original } => original,
        }
    }
}

/// Names that stand twice would hide a mistake of the program itself.
pub(super) fn without_repeats(own: Vec<Entry>) -> Vec<Arc<Entry>> {
    let mut seen = HashSet::new();
    own.into_iter().filter(|entry| seen.insert((entry.kind, entry.name.clone()))).map(Arc::new).collect()
}

#[cfg(test)]
mod tests;
