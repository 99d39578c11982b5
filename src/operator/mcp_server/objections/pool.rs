//! Which servers a pool selects that belong to an older one. Needs a client; stores nothing.

use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    core::{Selector, SelectorExt},
};

use crate::{
    api::{MCPPool, MCPServer},
    operator::field_error::{FieldError, Problem},
};

/// More is not told.
const TOLD: usize = 5;

pub(super) async fn contested(client: &Client, pool: &MCPPool) -> Vec<FieldError> {
    let namespace = pool.namespace().unwrap_or_default();
    let pools = Api::<MCPPool>::namespaced(client.clone(), &namespace);
    let servers = Api::<MCPServer>::namespaced(client.clone(), &namespace);
    let all = ListParams::default();
    match futures::future::try_join(pools.list(&all), servers.list_metadata(&all)).await {
        Ok((pools, servers)) => {
            let servers = servers.items.iter().map(|server| (server.name_any(), server.labels()));
            contests(pool, &pools.items, servers)
        }
        Err(error) => {
            tracing::debug!(%error, "not known which pool has which server");
            Vec::new()
        }
    }
}

fn contests<'a>(
    pool: &MCPPool,
    pools: &[MCPPool],
    servers: impl Iterator<Item = (String, &'a std::collections::BTreeMap<String, String>)>,
) -> Vec<FieldError> {
    let age = |pool: &MCPPool| {
        (pool.creation_timestamp().map_or_else(Timestamp::now, |time| time.0), pool.name_any())
    };
    let selector = |pool: &MCPPool| Selector::try_from(pool.spec.selector.clone()).ok();
    let Some(ours) = selector(pool) else { return Vec::new() };
    let older = pools.iter().filter(|other| other.name_any() != pool.name_any() && age(other) < age(pool));
    let older: Vec<(String, Selector)> =
        older.filter_map(|other| Some((other.name_any(), selector(other)?))).collect();
    let contested = servers.filter(|(_, labels)| ours.matches(labels)).filter_map(|(server, labels)| {
        let (holder, _) = older.iter().find(|(_, theirs)| theirs.matches(labels))?;
        let detail = format!(
            "it belongs to the MCPPool {holder}, which is older: select others, or change its labels"
        );
        Some(FieldError::new("spec.selector", Problem::Duplicate(server), detail))
    });
    contested.take(TOLD).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{MCPPool, contests};

    fn pool(name: &str, created: &str, label: &str) -> MCPPool {
        serde_json::from_value(json!({
            "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPPool",
            "metadata": {"name": name, "namespace": "a", "creationTimestamp": created},
            "spec": {"selector": {"matchLabels": {"pool": label}}},
        }))
        .unwrap()
    }

    #[test]
    fn a_server_stays_with_the_oldest_pool() {
        let labels = BTreeMap::from([("pool".to_owned(), "search".to_owned())]);
        let (old, new) =
            (pool("old", "2026-01-01T00:00:00Z", "search"), pool("new", "2026-02-01T00:00:00Z", "search"));
        let other = pool("other", "2025-01-01T00:00:00Z", "shop");
        let all = [old.clone(), new.clone(), other];
        let servers = || [("demo".to_owned(), &labels)].into_iter();
        assert_eq!(contests(&old, &all, servers()), []);
        let told = contests(&new, &all, servers());
        assert_eq!(
            told[0].to_string(),
            "spec.selector: Duplicate value: \"demo\": it belongs to the MCPPool old, which is older: select others, or change its labels"
        );
    }
}
