//! What servers offered another replica of ours: a replica that starts shows it at once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{catalogue::Kind, downstream::ServerName, offer::Offer, wire::Raw};

/// The last offer of one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Legacy {
    namespace: String,
    name: String,
    /// Of the MCPServer: another one of that name is another server.
    created: Timestamp,
    /// By the method that lists them; definitions as the server gave them.
    lists: BTreeMap<String, Vec<Raw>>,
}

impl Legacy {
    pub(super) fn new(
        server: &ServerName,
        created: Timestamp,
        entries: impl Iterator<Item = (Kind, Raw)>,
    ) -> Self {
        let mut lists = BTreeMap::<String, Vec<Raw>>::new();
        for (kind, raw) in entries {
            lists.entry(kind.method().to_owned()).or_default().push(raw);
        }
        Self { namespace: server.namespace.clone(), name: server.name.clone(), created, lists }
    }
}

/// What waits for its server to be applied.
#[derive(Debug, Default)]
pub(super) struct Inherited(BTreeMap<ServerName, (Timestamp, BTreeMap<String, Vec<Raw>>)>);

impl Inherited {
    /// In the place of what was kept before.
    pub(super) fn keep(&mut self, legacy: Vec<Legacy>) {
        let keyed = legacy.into_iter().map(|Legacy { namespace, name, created, lists }| {
            (ServerName { namespace, name }, (created, lists))
        });
        self.0 = keyed.collect();
    }

    /// Once; nothing when it is of another server of that name.
    pub(super) fn take(&mut self, server: &ServerName, created: Timestamp) -> Option<Offer> {
        let (of, mut lists) = self.0.remove(server)?;
        if of != created {
            return None;
        }
        let mut offer = Offer::default();
        for kind in Kind::ALL {
            offer.take(kind, lists.remove(kind.method()).unwrap_or_default());
        }
        Some(offer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::Timestamp;

    use super::{Inherited, Legacy};
    use crate::gateway::{Kind, ServerName, wire::text::raw};

    #[test]
    fn an_offer_is_for_its_own_server_and_once() {
        let name = ServerName { namespace: "shop".to_owned(), name: "time".to_owned() };
        let entries = [(Kind::Tool, raw(&serde_json::json!({ "name": "now", "x": 2.5 })))];
        let legacy = Legacy::new(&name, Timestamp::UNIX_EPOCH, entries.into_iter());
        let text = serde_json::to_string(&[legacy]).unwrap();
        let mut inherited = Inherited::default();
        let keep = |inherited: &mut Inherited| inherited.keep(serde_json::from_str(&text).unwrap());
        keep(&mut inherited);
        let offer = inherited.take(&name, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(offer.entries[0].raw.get(), r#"{"name":"now","x":2.5}"#);
        assert!(inherited.take(&name, Timestamp::UNIX_EPOCH).is_none());
        keep(&mut inherited);
        assert!(inherited.take(&name, Timestamp::MAX).is_none(), "another server of that name");
    }
}
