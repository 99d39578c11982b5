//! Which MCPServers of a namespace belong to which MCPPool, and whose a name is that both want. Pure.
//!
//! The oldest wins: a server that several pools select belongs to the oldest of them, and of a server and a pool of one
//! name the older has it. Of the same age, the pool first by name wins, and a server wins against a pool.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use crate::gateway::ServerName;

/// Why a pool does not appear whose name a server has.
pub(super) const NAME_TAKEN: &str = "an MCPServer of the same name is older: give the MCPPool another name";

/// What of an MCPServer decides whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate<'a> {
    pub(super) name: &'a ServerName,
    pub(super) created: Timestamp,
    pub(super) labels: &'a BTreeMap<String, String>,
}

/// What of an MCPPool decides what is its own.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    pub(super) name: &'a ServerName,
    pub(super) created: Timestamp,
    /// Nothing when it cannot be understood: it selects no server then.
    pub(super) selector: Option<&'a Selector>,
}

/// Who appears as what, in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrangement {
    /// The pool of each server that has one.
    pub(super) pool_of: BTreeMap<ServerName, ServerName>,
    /// Names of pools that an older server has.
    pub(super) lost: BTreeSet<ServerName>,
    /// Names of servers that an older pool has.
    pub(super) won: BTreeSet<ServerName>,
}

/// # Errors
/// One sentence, when it cannot be understood or would select everything.
pub(super) fn selector(declared: &LabelSelector) -> Result<Selector, String> {
    let selector = Selector::try_from(declared.clone())
        .map_err(|error| format!("spec.selector cannot be understood ({error}): correct it"))?;
    if selector.selects_all() {
        return Err(
            "spec.selector selects every MCPServer of the namespace: name a label in matchLabels".to_owned()
        );
    }
    Ok(selector)
}

pub(super) fn arrange(servers: &[Candidate<'_>], pools: &[Claim<'_>]) -> Arrangement {
    let mut arrangement = Arrangement::default();
    for pool in pools {
        match servers.iter().find(|server| server.name == pool.name) {
            Some(server) if server.created <= pool.created => arrangement.lost.insert(pool.name.clone()),
            Some(server) => arrangement.won.insert(server.name.clone()),
            None => false,
        };
    }
    let mut by_age: Vec<&Claim<'_>> =
        pools.iter().filter(|pool| !arrangement.lost.contains(pool.name)).collect();
    by_age.sort_by_key(|pool| (pool.created, pool.name));
    for server in servers.iter().filter(|server| !arrangement.won.contains(server.name)) {
        let selects = |pool: &&&Claim<'_>| pool.selector.is_some_and(|one| one.matches(server.labels));
        if let Some(pool) = by_age.iter().find(selects) {
            arrangement.pool_of.insert(server.name.clone(), pool.name.clone());
        }
    }
    arrangement
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use kube::core::Selector;
    use serde_json::json;

    use super::{Arrangement, Candidate, Claim, arrange, selector};
    use crate::gateway::ServerName;

    fn named(name: &str) -> ServerName {
        ServerName { namespace: "tools".to_owned(), name: name.to_owned() }
    }

    /// Each server is name, age in seconds and its one label; each pool name, age and the label that it selects.
    fn arranged(servers: &[(&str, i64, &str)], pools: &[(&str, i64, &str)]) -> Arrangement {
        let created = |age: i64| Timestamp::from_second(1_000_000 - age).unwrap();
        let label = |value: &str| BTreeMap::from([("pool".to_owned(), value.to_owned())]);
        let servers: Vec<_> =
            servers.iter().map(|(name, age, has)| (named(name), created(*age), label(has))).collect();
        let pools: Vec<_> = pools
            .iter()
            .map(|(name, age, wants)| {
                (named(name), created(*age), label(wants).into_iter().collect::<Selector>())
            })
            .collect();
        let candidates: Vec<_> = servers
            .iter()
            .map(|(name, created, labels)| Candidate { name, created: *created, labels })
            .collect();
        let claims: Vec<_> = pools
            .iter()
            .map(|(name, created, selector)| Claim { name, created: *created, selector: Some(selector) })
            .collect();
        arrange(&candidates, &claims)
    }

    fn members(found: &Arrangement, pool: &str) -> Vec<String> {
        let of = found.pool_of.iter().filter(|(_, by)| **by == named(pool));
        of.map(|(server, _)| server.name.clone()).collect()
    }

    #[test]
    fn a_pool_has_the_servers_that_it_selects() {
        let found = arranged(&[("a", 1, "x"), ("b", 1, "x"), ("c", 1, "y")], &[("x", 0, "x"), ("z", 0, "z")]);
        assert_eq!(members(&found, "x"), ["a", "b"]);
        assert!(members(&found, "z").is_empty() && found.lost.is_empty());
    }

    #[test]
    fn a_contested_member_belongs_to_the_oldest_pool_and_then_to_the_first_by_name() {
        let servers = [("a", 9, "x")];
        assert_eq!(members(&arranged(&servers, &[("p", 1, "x"), ("q", 2, "x")]), "q"), ["a"]);
        assert_eq!(members(&arranged(&servers, &[("q", 2, "x"), ("p", 2, "x")]), "p"), ["a"]);
    }

    #[test]
    fn a_name_that_a_server_and_a_pool_want_belongs_to_the_older() {
        let old_server = arranged(&[("search", 9, "x"), ("a", 9, "x")], &[("search", 1, "x")]);
        assert!(old_server.lost.contains(&named("search")));
        assert!(old_server.pool_of.is_empty(), "a pool that cannot appear takes nobody in");
        let old_pool = arranged(&[("search", 1, "x"), ("a", 1, "x")], &[("search", 9, "x")]);
        assert!(old_pool.won.contains(&named("search")));
        assert_eq!(members(&old_pool, "search"), ["a"]);
        let same_age = arranged(&[("search", 1, "y")], &[("search", 1, "x")]);
        assert!(same_age.lost.contains(&named("search")));
    }

    #[test]
    fn a_selector_must_be_understood_and_select_something_less_than_all() {
        let of = |value| selector(&serde_json::from_value(value).unwrap());
        assert!(of(json!({})).unwrap_err().contains("selects every MCPServer"));
        let odd = of(json!({ "matchExpressions": [{ "key": "a", "operator": "Near" }] })).unwrap_err();
        assert!(odd.contains("spec.selector cannot be understood"), "{odd}");
        let expression = json!({ "key": "a", "operator": "In", "values": ["b", "c"] });
        assert!(of(json!({ "matchExpressions": [expression] })).is_ok());
    }
}
