//! What this replica left behind at its last applies, while it leads. Lost at a restart, and then rehearsed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use super::{decide::Remembered, sightings::ChildName};
use crate::fleet::ServerName;

/// By server, then by child.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<ServerName, BTreeMap<ChildName, Remembered>>>);

impl Memory {
    pub(super) fn recall(&self, server: &ServerName, child: &ChildName) -> Option<Remembered> {
        let servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get(server)?.get(child).cloned()
    }

    /// Every child of it that is remembered.
    pub(super) fn children(&self, server: &ServerName) -> Vec<ChildName> {
        let servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get(server).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    pub(super) fn remember(&self, server: &ServerName, child: ChildName, what: Remembered) {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.entry(server.clone()).or_default().insert(child, what);
    }

    pub(super) fn forget_child(&self, server: &ServerName, child: &ChildName) {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(children) = servers.get_mut(server) {
            children.remove(child);
        }
    }

    pub(super) fn forget(&self, server: &ServerName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
    }
}
