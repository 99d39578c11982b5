//! Which servers refer to which object.

use std::collections::{BTreeSet, HashMap};

use super::place::{Place, Store};
use crate::{
    fleet::ServerName,
    operator::mcp_server::references::{References, What},
};

#[derive(Debug, Default)]
pub(super) struct Index {
    by_place: HashMap<Place, HashMap<String, BTreeSet<ServerName>>>,
}

impl Index {
    /// All that the server refers to; what it referred to before is forgotten.
    pub(super) fn set(&mut self, server: &ServerName, references: &References) {
        for objects in self.by_place.values_mut() {
            objects.retain(|_, servers| {
                servers.remove(server);
                !servers.is_empty()
            });
        }
        self.by_place.retain(|_, objects| !objects.is_empty());
        for referent in references.keys() {
            let store = match referent.what {
                What::ConfigMap => Store::ConfigMaps,
                What::Secret | What::Brought => Store::Secrets,
            };
            let place = Place { store, namespace: server.namespace.clone() };
            let objects = self.by_place.entry(place).or_default();
            objects.entry(referent.name.clone()).or_default().insert(server.clone());
        }
    }

    pub(super) fn referring_to(&self, place: &Place, name: &str) -> Vec<ServerName> {
        self.by_place
            .get(place)
            .and_then(|objects| objects.get(name))
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(super) fn referring_into(&self, place: &Place) -> BTreeSet<ServerName> {
        self.by_place.get(place).into_iter().flat_map(HashMap::values).flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Index, Place, Store};
    use crate::{
        fleet::ServerName,
        operator::mcp_server::references::{Keys, References, Referent, Use, What},
    };

    fn refer(index: &mut Index, server: &str, to: &[&str]) {
        let references: References = to
            .iter()
            .map(|name| {
                let referent = Referent { what: What::ConfigMap, name: (*name).to_owned() };
                (referent, Use { keys: Keys::All, optional: false })
            })
            .collect();
        index.set(&server_name(server), &references);
    }

    fn server_name(name: &str) -> ServerName {
        ServerName { namespace: "team-a".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn servers_are_found_by_what_they_refer_to_now() {
        let place = Place { store: Store::ConfigMaps, namespace: "team-a".to_owned() };
        let mut index = Index::default();
        refer(&mut index, "one", &["a", "b"]);
        refer(&mut index, "two", &["b"]);
        assert_eq!(index.referring_to(&place, "b"), [server_name("one"), server_name("two")]);
        refer(&mut index, "one", &["a"]);
        assert_eq!(index.referring_to(&place, "b"), [server_name("two")]);
        refer(&mut index, "two", &[]);
        assert_eq!(index.referring_into(&place).into_iter().collect::<Vec<_>>(), [server_name("one")]);
    }
}
