//! Statuses that were written and that our own view may not show yet: the watch tells of a write later than the API
//! server answers it, and what wakes a server does not wait.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::fleet::ServerName;

/// The version that the last status of each server was written over.
#[derive(Debug, Default)]
pub(super) struct Unseen(Mutex<HashMap<ServerName, String>>);

impl Unseen {
    /// A status was written over the version `before`; `stored` is the version since.
    pub(super) fn wrote(&self, server: &ServerName, before: Option<String>, stored: Option<String>) {
        let (Some(before), Some(stored)) = (before, stored) else { return };
        // What changed nothing has no new version, and nothing is on its way.
        if stored != before {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(server.clone(), before);
        }
    }

    /// Whether that version was written over already. One that was not is the newest that is known.
    pub(super) fn is_outdated(&self, server: &ServerName, version: Option<&str>) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_outdated = written.get(server).is_some_and(|before| Some(before.as_str()) == version);
        if !is_outdated {
            written.remove(server);
        }
        is_outdated
    }

    pub(super) fn forget(&self, server: &ServerName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
    }
}

#[cfg(test)]
mod tests {
    use super::Unseen;
    use crate::fleet::ServerName;

    fn name(name: &str) -> ServerName {
        ServerName { namespace: "team-a".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_version_is_outdated_from_its_overwriting_until_a_newer_one_is_seen() {
        let unseen = Unseen::default();
        let wrote = |before: &str, now: &str| unseen.wrote(&name("a"), Some(before.into()), Some(now.into()));
        assert!(!unseen.is_outdated(&name("a"), Some("1")));
        wrote("1", "2");
        assert!(unseen.is_outdated(&name("a"), Some("1")));
        assert!(unseen.is_outdated(&name("a"), Some("1")), "it still is");
        assert!(!unseen.is_outdated(&name("other"), Some("1")));
        assert!(!unseen.is_outdated(&name("a"), Some("2")));
        wrote("2", "2");
        assert!(
            !unseen.is_outdated(&name("a"), Some("2")),
            "nothing was changed, so that nothing will be seen"
        );
    }
}
