//! What this replica left behind at its last applies, while it leads. Lost at a restart, and then rehearsed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::decide::Remembered;
use crate::fleet::ServerName;

/// By server, then by kind of child.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<ServerName, HashMap<String, Remembered>>>);

impl Memory {
    pub(super) fn recall(&self, server: &ServerName, kind: &str) -> Option<Remembered> {
        let servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get(server)?.get(kind).cloned()
    }

    pub(super) fn remember(&self, server: &ServerName, kind: &str, what: Remembered) {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.entry(server.clone()).or_default().insert(kind.to_owned(), what);
    }

    pub(super) fn forget(&self, server: &ServerName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
    }
}
