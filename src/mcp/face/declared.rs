//! What clients are told of the servers' extensions.

use std::collections::BTreeSet;

use super::Face;
use crate::{
    caller::Caller,
    gateway::{
        Kind, Route, declared,
        wire::{Era, Raw},
    },
    mcp::outgoing,
};

impl Face {
    /// What the servers that this caller sees declare beside their lists, as members of an object of capabilities;
    /// nothing when that cannot be found out, or is nothing.
    pub(in crate::mcp) async fn declared(&self, caller: &Caller, era: Era) -> Option<Raw> {
        let catalogue = self.catalogue();
        catalogue.declares().next()?;
        let view = match self.view(catalogue.clone(), caller).await {
            Ok(view) => view,
            Err(error) => {
                tracing::warn!(
                    caller = caller.user,
                    why = error.message(),
                    "a client is not told of extensions"
                );
                return None;
            }
        };
        let mut servers = BTreeSet::new();
        for kind in [Kind::Tool, Kind::Prompt, Kind::Resource, Kind::ResourceTemplate] {
            for entry in catalogue.of_kind(kind) {
                if let Route::Downstream { server, .. } = &entry.route
                    && !servers.contains(server)
                    && catalogue.declared(server).is_some()
                    && view.shows(entry)
                {
                    servers.insert(server);
                }
            }
        }
        let all =
            declared::together(servers.into_iter().filter_map(|server| catalogue.declared(server)), era);
        Some(outgoing::clean(all)).filter(|all| all.get() != "{}")
    }
}
