//! What of a server outlives the process, or goes to another one, and how it comes back.

use std::{collections::BTreeSet, sync::Arc};

use super::{Registry, Server};
use crate::gateway::{
    catalogue::{Entry, Kind},
    downstream::ServerName,
    inherited::Legacy,
    offer::Offer,
    remembered::{Kept, Page},
    wire::text::{Fields, string},
};

impl Registry {
    /// What is to be remembered of it; nothing before its lists were read, be it by an earlier process.
    pub(in crate::gateway) fn page(&self, name: &ServerName) -> Option<Page> {
        let Server { created, info, declared, entries, pinned, listed, .. } = self.servers.get(name)?;
        (*listed)?;
        Some(Page {
            created: *created,
            listed: *listed,
            server: info.clone(),
            declared: declared.as_deref().cloned(),
            entries: entries.iter().map(|entry| kept(entry)).collect(),
            pins: pinned.besides(entries).map(|entry| kept(entry)).collect(),
            hashes: pinned.hashes().into_iter().map(|(tool, hash)| (tool, hash.to_string())).collect(),
        })
    }

    /// What every single server offered last. Pools are made of what their members say to each replica.
    pub(in crate::gateway) fn legacy(&self) -> Vec<Legacy> {
        let single = self.servers.iter().filter(|(_, server)| !server.is_pool && !server.entries.is_empty());
        let legacy = single.map(|(name, server)| {
            let entries =
                server.entries.iter().map(|entry| kept(entry)).map(|Kept { kind, raw }| (kind, raw));
            Legacy::new(name, server.created, entries)
        });
        legacy.collect()
    }

    /// It was registered before, and offered this then. Nothing happens when it has been listed meanwhile.
    pub(in crate::gateway) fn recall(&mut self, name: &ServerName, page: Page) {
        let Page { created: _, listed, server: info, declared, entries, pins, hashes } = page;
        let Some(server) = self.servers.get_mut(name) else { return };
        if server.listed.is_some() {
            return;
        }
        let mut before = Offer::default();
        pins.into_iter().for_each(|Kept { kind, raw }| before.take(kind, vec![raw]));
        let before = server.shown(name, before.entries);
        server.pinned.learn(&before);
        let mut offer = Offer::default();
        entries.into_iter().for_each(|Kept { kind, raw }| offer.take(kind, vec![raw]));
        server.entries = server.shown(name, offer.entries);
        // First what they were: what they are now may be something else.
        server.pinned.note(&hashes);
        server.pinned.learn(&server.entries);
        (server.info, server.listed, server.is_remembered) = (info, listed, true);
        server.declared = declared.map(Arc::new);
        server.doubt();
        server.settle();
        self.suspect(name, &BTreeSet::new());
    }
}

/// The entry as its server gave it: names were exchanged for those that clients see.
fn kept(entry: &Entry) -> Kept {
    let given = || {
        if !matches!(entry.kind, Kind::Tool | Kind::Prompt) || entry.name == entry.original() {
            return None;
        }
        let mut fields = Fields::parse(entry.raw.get()).ok()?;
        fields.set(entry.kind.key(), string(entry.original()));
        Some(fields.to_raw())
    };
    Kept { kind: entry.kind, raw: given().unwrap_or_else(|| entry.raw.clone()) }
}
