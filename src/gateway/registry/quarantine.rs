//! Which tools are not to be trusted, and are not shown until a person has looked at them.
//!
//! It hangs on the tools that there are, and not on which of them came first: every replica finds the same, and a
//! restart changes nothing. So a definition that is good now may be hidden when another server comes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{Registry, Server};
use crate::gateway::{
    catalogue::{Entry, Kind},
    downstream::ServerName,
    pins::how_to_approve,
    scan::Doubt,
};

impl Registry {
    /// The tools of `of` have changed, which had the names `before`. Those of others are looked at again only where
    /// their orders have a name in them that came or went.
    pub(super) fn suspect(&mut self, of: &ServerName, before: &BTreeSet<String>) {
        let now = self.servers.get(of).map(Server::names).unwrap_or_default();
        let changed: BTreeSet<&str> = before.symmetric_difference(&now).map(String::as_str).collect();
        let is_concerned = |(name, server): &(&ServerName, &Server)| {
            let mut names = server.doubts.values().flat_map(Doubt::names);
            !server.doubts.is_empty() && (*name == of || names.any(|name| changed.contains(name)))
        };
        let concerned: Vec<_> =
            self.servers.iter().filter(is_concerned).map(|(name, _)| name.clone()).collect();
        for name in concerned {
            let quarantined = self.suspicious(&name);
            if let Some(server) = self.servers.get_mut(&name) {
                server.quarantined = quarantined;
            }
        }
    }

    /// Why tools of that server are not to be trusted, by its own name of each.
    fn suspicious(&self, name: &ServerName) -> BTreeMap<String, String> {
        let Some(server) = self.servers.get(name) else { return BTreeMap::new() };
        let own: HashSet<String> = tools(server)
            .flat_map(|tool| [tool.original(), tool.name.as_str()])
            .map(str::to_ascii_lowercase)
            .collect();
        let in_orders: HashSet<&str> =
            server.doubts.values().flat_map(Doubt::names).filter(|name| !own.contains(*name)).collect();
        let others = self.servers.iter().filter(|(other, _)| *other != name);
        let others = others.flat_map(|(_, other)| tools(other));
        let others = others.chain(self.own.iter().filter(|entry| entry.kind == Kind::Tool));
        let anothers: HashSet<&str> =
            others.filter_map(|tool| in_orders.get(&*lower(&tool.name)).copied()).collect();
        let suspicion = |(tool, doubt): (&String, &Doubt)| {
            Some((tool.clone(), doubt.suspicion(|name| anothers.contains(name))?))
        };
        server.doubts.iter().filter_map(suspicion).collect()
    }
}

impl Server {
    /// What its tools are called by clients, in lower case.
    pub(super) fn names(&self) -> BTreeSet<String> {
        tools(self).map(|tool| lower(&tool.name).into_owned()).collect()
    }

    /// Looks through its definitions. What it finds counts once it is known who [else](Registry::suspect) has tools.
    pub(super) fn doubt(&mut self) {
        let doubts = tools(self).filter_map(|tool| Some((tool.original().to_owned(), Doubt::of(&tool.raw)?)));
        self.doubts = doubts.collect();
        self.quarantined.clear();
    }

    /// Why a tool is not to be trusted; nothing when a person has looked at it.
    pub(super) fn suspected(&self, entry: &Entry) -> Option<&str> {
        let why = self.quarantined.get(entry.original()).filter(|_| entry.kind == Kind::Tool)?;
        (!self.approval.approves(entry)).then_some(why)
    }

    /// One sentence for each tool that is not shown for that reason.
    pub(super) fn quarantine(&self) -> Vec<String> {
        if self.quarantined.is_empty() {
            return Vec::new();
        }
        let suspected = self.entries.iter().filter_map(|entry| Some((entry, self.suspected(entry)?)));
        suspected
            .map(|(entry, why)| {
                let tool = entry.original();
                format!(
                    "tool `{tool}` is not shown ({why}): correct it, or it is hidden until {}",
                    how_to_approve(entry)
                )
            })
            .collect()
    }
}

fn tools(server: &Server) -> impl Iterator<Item = &Arc<Entry>> {
    server.entries.iter().filter(|entry| entry.kind == Kind::Tool)
}

/// Most names are in lower case as they are.
fn lower(name: &str) -> Cow<'_, str> {
    match name.contains(|c: char| c.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}
