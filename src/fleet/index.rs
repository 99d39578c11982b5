//! The MCPServers, MCPPools and EndpointSlices that were seen, and what follows from them. Pure: events in, changes out.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{ResourceExt, core::Selector};

use super::{
    manifest,
    pools::{Arrangement, Candidate, Claim, NAME_TAKEN, arrange, selector},
    roster::Change,
    secrets::{Found, Known, SecretName},
    slices::{self, Slice},
};
use crate::{
    api::{MCPPool, MCPPoolStatus, MCPServer, MCPServerStatus},
    gateway::{Downstream, Endpoint, Refusal, ServerName},
};

/// A namespaced object that is no server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SliceName {
    namespace: String,
    name: String,
}

impl SliceName {
    pub(super) fn of(slice: &EndpointSlice) -> Self {
        Self { namespace: slice.namespace().unwrap_or_default(), name: slice.name_any() }
    }
}

/// A pool that could be read.
#[derive(Debug)]
struct Pool {
    declared: MCPPool,
    selector: Result<Selector, String>,
}

/// Every event gives the changes that it makes; none when nothing is different for the gateway.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// As declared; the reason when the object could not even be read.
    servers: BTreeMap<ServerName, Result<MCPServer, String>>,
    pools: BTreeMap<ServerName, Result<Pool, String>>,
    /// Who appears as what, by namespace; none where there is no pool.
    arrangements: BTreeMap<String, Arrangement>,
    slices: BTreeMap<SliceName, Slice>,
    secrets: Known,
    /// What was said last of each server.
    said: BTreeMap<ServerName, Change>,
}

impl Index {
    pub(super) fn apply_server(&mut self, server: MCPServer) -> Vec<Change> {
        let name = manifest::name(&server);
        self.servers.insert(name.clone(), Ok(lean(server)));
        self.say_arranged(name)
    }

    /// An object that is not an MCPServer as we know it.
    pub(super) fn apply_malformed(&mut self, name: ServerName, reason: &str) -> Vec<Change> {
        let reason = format!("the MCPServer cannot be read ({reason}): correct it, or update its CRD");
        self.servers.insert(name.clone(), Err(reason));
        self.say_arranged(name)
    }

    pub(super) fn delete_server(&mut self, name: &ServerName) -> Vec<Change> {
        self.servers.remove(name);
        self.say_arranged(name.clone())
    }

    pub(super) fn apply_pool(&mut self, mut pool: MCPPool) -> Vec<Change> {
        let name = manifest::pool_name(&pool);
        let pins = pool.status.take().map(|status| status.pins).filter(|pins| !pins.is_empty());
        pool.status = pins.map(|pins| MCPPoolStatus { pins, ..MCPPoolStatus::default() });
        pool.metadata.managed_fields = None;
        let selector = selector(&pool.spec.selector);
        self.pools.insert(name.clone(), Ok(Pool { declared: pool, selector }));
        self.say_arranged(name)
    }

    /// An object that is not an MCPPool as we know it.
    pub(super) fn apply_malformed_pool(&mut self, name: ServerName, reason: &str) -> Vec<Change> {
        let reason = format!("the MCPPool cannot be read ({reason}): correct it, or update its CRD");
        self.pools.insert(name.clone(), Err(reason));
        self.say_arranged(name)
    }

    pub(super) fn delete_pool(&mut self, name: &ServerName) -> Vec<Change> {
        self.pools.remove(name);
        self.say_arranged(name.clone())
    }

    /// As [`Self::servers_listed`].
    pub(super) fn pools_listed(
        &mut self,
        namespace: Option<&str>,
        seen: &BTreeSet<ServerName>,
    ) -> Vec<Change> {
        let gone = missing(&self.pools, namespace, seen);
        gone.iter().flat_map(|name| self.delete_pool(name)).collect()
    }

    /// After a complete list of one namespace, or of all: what was not in it is gone.
    pub(super) fn servers_listed(
        &mut self,
        namespace: Option<&str>,
        seen: &BTreeSet<ServerName>,
    ) -> Vec<Change> {
        let gone = missing(&self.servers, namespace, seen);
        gone.iter().flat_map(|name| self.delete_server(name)).collect()
    }

    pub(super) fn apply_slice(&mut self, slice: &EndpointSlice) -> Vec<Change> {
        let name = SliceName::of(slice);
        let now = Slice::of(slice);
        let server = now.as_ref().map(|slice| slice.server.clone());
        let before = match now {
            Some(slice) => self.slices.insert(name, slice),
            None => self.slices.remove(&name),
        };
        let before = before.map(|slice| slice.server).filter(|before| server.as_ref() != Some(before));
        before.into_iter().chain(server).flat_map(|name| self.say_as_it_appears(name)).collect()
    }

    pub(super) fn delete_slice(&mut self, name: &SliceName) -> Vec<Change> {
        let gone = self.slices.remove(name);
        gone.into_iter().flat_map(|slice| self.say_as_it_appears(slice.server)).collect()
    }

    /// As [`Self::servers_listed`].
    pub(super) fn slices_listed(
        &mut self,
        namespace: Option<&str>,
        seen: &BTreeSet<SliceName>,
    ) -> Vec<Change> {
        let gone: Vec<_> = self
            .slices
            .keys()
            .filter(|name| namespace.is_none_or(|only| only == name.namespace) && !seen.contains(name))
            .cloned()
            .collect();
        gone.iter().flat_map(|name| self.delete_slice(name)).collect()
    }

    /// The Secrets that the servers name for headers.
    pub(super) fn wanted_secrets(&self) -> BTreeSet<SecretName> {
        self.servers.iter().flat_map(|(name, server)| named_secrets(name, server)).collect()
    }

    pub(super) fn apply_secret(&mut self, secret: SecretName, found: Found) -> Vec<Change> {
        if !self.secrets.apply(secret.clone(), found) {
            return Vec::new();
        }
        let named_by = self
            .servers
            .iter()
            .filter(|(name, server)| named_secrets(name, server).any(|named| named == secret));
        let named_by: Vec<_> = named_by.map(|(name, _)| name.clone()).collect();
        named_by.into_iter().flat_map(|name| self.say_as_it_appears(name)).collect()
    }

    /// Those that nobody names any more leave memory.
    pub(super) fn forget_secrets(&mut self, wanted: &BTreeSet<SecretName>) {
        self.secrets.retain(wanted);
    }

    /// A server or a pool changed: so may have who belongs to whom. Whoever leaves its name is said before whoever
    /// takes it in.
    fn say_arranged(&mut self, name: ServerName) -> Vec<Change> {
        let namespace = name.namespace.clone();
        let now = self.arrange(&namespace);
        let before = self.arrangements.remove(&namespace).unwrap_or_default();
        let mut moved = BTreeSet::from([name]);
        for server in before.pool_of.keys().chain(now.pool_of.keys()) {
            if before.pool_of.get(server) != now.pool_of.get(server) {
                moved.insert(server.clone());
            }
        }
        moved.extend(before.won.symmetric_difference(&now.won).cloned());
        moved.extend(before.lost.symmetric_difference(&now.lost).cloned());
        let of_moved = |arrangement: &Arrangement| -> Vec<ServerName> {
            moved.iter().filter_map(|server| arrangement.pool_of.get(server)).cloned().collect()
        };
        let pools: BTreeSet<ServerName> = of_moved(&before).into_iter().chain(of_moved(&now)).collect();
        if now != Arrangement::default() {
            self.arrangements.insert(namespace, now);
        }
        let (gone, rest): (Vec<_>, Vec<_>) =
            moved.into_iter().chain(pools).flat_map(|name| self.say(name)).partition(Change::is_delete);
        gone.into_iter().chain(rest).collect()
    }

    fn arrange(&self, namespace: &str) -> Arrangement {
        let is_here = |name: &ServerName| name.namespace == namespace;
        let pools: Vec<Claim<'_>> = self
            .pools
            .iter()
            .filter(|(name, _)| is_here(name))
            .filter_map(|(name, pool)| Some((name, pool.as_ref().ok()?)))
            .map(|(name, Pool { declared, selector })| Claim {
                name,
                created: manifest::created(&declared.metadata),
                selector: selector.as_ref().ok(),
            })
            .collect();
        if pools.is_empty() {
            return Arrangement::default();
        }
        let servers = self.servers.iter().filter(|(name, _)| is_here(name));
        let servers = servers.filter_map(|(name, server)| Some((name, server.as_ref().ok()?)));
        let candidates = servers.map(|(name, server)| Candidate {
            name,
            created: manifest::created(&server.metadata),
            labels: server.labels(),
        });
        arrange(&candidates.collect::<Vec<_>>(), &pools)
    }

    /// What is to be said after a change of what a server is reached by.
    fn say_as_it_appears(&mut self, server: ServerName) -> Vec<Change> {
        let pool = self.arrangements.get(&server.namespace).and_then(|now| now.pool_of.get(&server));
        let name = pool.cloned().unwrap_or(server);
        self.say(name)
    }

    fn change(&self, name: &ServerName) -> Change {
        let unarranged = Arrangement::default();
        let arrangement = self.arrangements.get(&name.namespace).unwrap_or(&unarranged);
        let refuse = |reason: &str| Change::Refuse { name: name.clone(), reason: reason.to_owned().into() };
        let declared = match (self.pools.get(name), self.servers.get(name)) {
            (Some(Ok(pool)), server) if server.is_none() || arrangement.won.contains(name) => {
                self.pool(name, pool, arrangement)
            }
            (Some(Err(reason)), None) => return refuse(reason),
            (_, Some(Err(reason))) => return refuse(reason),
            (_, Some(Ok(server))) if !arrangement.pool_of.contains_key(name) => {
                manifest::in_cluster(server, self.pods(name), &self.secrets)
            }
            // The server appears elsewhere: the pool that lost the name is told so under it.
            (Some(_), Some(Ok(_))) => return refuse(NAME_TAKEN),
            (None, Some(Ok(_))) | (_, None) => return Change::Delete(name.clone()),
        };
        match declared {
            Ok(downstream) => Change::Apply(Box::new(downstream)),
            Err(reason) => Change::Refuse { name: name.clone(), reason },
        }
    }

    fn pool(&self, name: &ServerName, pool: &Pool, arrangement: &Arrangement) -> Result<Downstream, Refusal> {
        let Pool { declared, selector } = pool;
        selector.as_ref().map_err(Clone::clone)?;
        let members = arrangement.pool_of.iter().filter(|(_, pool)| *pool == name);
        let members = members.filter_map(|(server, _)| {
            let declared_server = self.servers.get(server)?.as_ref().ok()?;
            Some(manifest::member(declared, declared_server, self.pods(server), &self.secrets))
        });
        Ok(manifest::pool(declared, members.collect())?)
    }

    /// A server has few slices; finding them by a walk is only dear for fleets of thousands.
    fn pods(&self, server: &ServerName) -> Vec<Endpoint> {
        slices::pods(self.slices.values().filter(|slice| slice.server == *server))
    }

    /// What is to be said of a name now, if it differs from what was said last.
    fn say(&mut self, name: ServerName) -> Vec<Change> {
        let change = self.change(&name);
        match (&change, self.said.get(&name)) {
            (Change::Delete(_), None) => return Vec::new(),
            (Change::Delete(_), Some(_)) => {
                self.said.remove(&name);
            }
            (change, Some(said)) if change == said => return Vec::new(),
            _ => {
                self.said.insert(name, change.clone());
            }
        }
        vec![change]
    }
}

/// Those of one namespace, or of all, that were not seen.
fn missing<T>(
    known: &BTreeMap<ServerName, T>,
    namespace: Option<&str>,
    seen: &BTreeSet<ServerName>,
) -> Vec<ServerName> {
    let is_gone =
        |name: &&ServerName| namespace.is_none_or(|only| only == name.namespace) && !seen.contains(*name);
    known.keys().filter(is_gone).cloned().collect()
}

/// Without what is never looked at here.
fn lean(mut server: MCPServer) -> MCPServer {
    // What its tools were is learned from it; all else there is our own doing.
    let pins = server.status.take().map(|status| status.pins).filter(|pins| !pins.is_empty());
    server.status = pins.map(|pins| MCPServerStatus { pins, ..MCPServerStatus::default() });
    server.metadata.managed_fields = None;
    if let Some(annotations) = &mut server.metadata.annotations {
        annotations.retain(|key, _| key == manifest::APPROVED_TOOLS);
    }
    server
}

fn named_secrets<'a>(
    name: &'a ServerName,
    server: &'a Result<MCPServer, String>,
) -> impl Iterator<Item = SecretName> + 'a {
    let remote = server.as_ref().ok().and_then(|server| server.spec.remote.as_ref());
    remote.into_iter().flat_map(|remote| &remote.headers_from).map(|header| SecretName {
        namespace: name.namespace.clone(),
        name: header.secret_key_ref.name.clone(),
    })
}

#[cfg(test)]
mod tests;
