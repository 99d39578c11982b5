//! The MCPServers, MCPPools and EndpointSlices that were seen, and what follows from them. Pure: events in, changes out.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{ResourceExt, core::Selector};

use super::{
    manifest,
    pools::{Arrangement, Candidate, Claim, arrange, selector},
    roster::Change,
    secrets::{Found, Known, SecretName},
    slices::{self, Slice},
};
use crate::{
    api::{MCPPool, MCPServer},
    gateway::{Downstream, Endpoint, ServerName},
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
        (pool.status, pool.metadata.managed_fields) = (None, None);
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
        let refuse = |reason: &String| Change::Refuse { name: name.clone(), reason: reason.clone() };
        let declared = match (self.pools.get(name), self.servers.get(name)) {
            (Some(Ok(pool)), server) if server.is_none() || arrangement.won.contains(name) => {
                self.pool(name, pool, arrangement)
            }
            (Some(Err(reason)), None) => return refuse(reason),
            (_, Some(Err(reason))) => return refuse(reason),
            (_, Some(Ok(server))) if !arrangement.pool_of.contains_key(name) => {
                manifest::in_cluster(server, self.pods(name), &self.secrets)
            }
            (_, Some(Ok(_)) | None) => return Change::Delete(name.clone()),
        };
        match declared {
            Ok(downstream) => Change::Apply(Box::new(downstream)),
            Err(reason) => Change::Refuse { name: name.clone(), reason },
        }
    }

    fn pool(&self, name: &ServerName, pool: &Pool, arrangement: &Arrangement) -> Result<Downstream, String> {
        let Pool { declared, selector } = pool;
        selector.as_ref().map_err(Clone::clone)?;
        let members = arrangement.pool_of.iter().filter(|(_, pool)| *pool == name);
        let members = members.filter_map(|(server, _)| {
            let declared_server = self.servers.get(server)?.as_ref().ok()?;
            Some(manifest::member(declared, declared_server, self.pods(server), &self.secrets))
        });
        manifest::pool(declared, members.collect())
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
    server.status = None;
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::{Value, json};

    use super::{Change, Found, Index, SecretName, SliceName};
    use crate::{
        api::{MCPPool, MCPServer},
        gateway::{Endpoint, ServerName, Target},
    };

    fn server(name: &str, spec: Value) -> MCPServer {
        serde_json::from_value(json!({
            "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer",
            "metadata": { "name": name, "namespace": "tools" }, "spec": spec,
        }))
        .unwrap()
    }

    fn named(name: &str) -> ServerName {
        ServerName { namespace: "tools".to_owned(), name: name.to_owned() }
    }

    /// `pods` are name, address and conditions.
    fn slice(name: &str, service: &str, pods: &[(&str, &str, Value)]) -> EndpointSlice {
        let endpoints: Vec<_> = pods
            .iter()
            .map(|(pod, address, conditions)| {
                json!({ "addresses": [address], "conditions": conditions,
                        "targetRef": { "kind": "Pod", "name": pod } })
            })
            .collect();
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "tools",
                          "labels": { "kubernetes.io/service-name": service } },
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{ "name": "metrics", "port": 9090 }, { "name": "mcp", "port": 8080 }],
        }))
        .unwrap()
    }

    fn ready() -> Value {
        json!({ "ready": true, "serving": true, "terminating": false })
    }

    fn pods(changes: &[Change]) -> Vec<Endpoint> {
        let [Change::Apply(downstream)] = changes else { panic!("{changes:?}") };
        let Target::Endpoints { endpoints, .. } = &downstream.target else { panic!("{downstream:?}") };
        endpoints.clone()
    }

    #[test]
    fn a_server_is_its_usable_pods_in_whatever_order_they_are_seen() {
        let mut index = Index::default();
        let leaving = json!({ "ready": false, "serving": true, "terminating": true });
        let broken = json!({ "ready": false, "serving": false, "terminating": false });
        let gone = json!({ "ready": false, "serving": false, "terminating": true });
        let first = slice(
            "a",
            "time",
            &[("p1", "10.0.0.1", ready()), ("p2", "10.0.0.2", leaving), ("p3", "10.0.0.3", broken)],
        );
        assert_eq!(index.apply_slice(&first), []);
        let found = pods(&index.apply_server(server("time", json!({ "image": "time:1" }))));
        let at = |id: &str, address: &str, terminating| Endpoint {
            id: id.to_owned(),
            address: address.parse().unwrap(),
            terminating,
        };
        assert_eq!(found, [at("p1", "10.0.0.1:8080", false), at("p2", "10.0.0.2:8080", true)]);

        let second = slice("b", "time", &[("p4", "10.0.0.4", json!({})), ("p5", "10.0.0.5", gone)]);
        assert_eq!(pods(&index.apply_slice(&second)).len(), 3);
        assert_eq!(pods(&index.delete_slice(&SliceName::of(&first))), [at("p4", "10.0.0.4:8080", false)]);
    }

    #[test]
    fn nothing_new_says_nothing() {
        let mut index = Index::default();
        let time = server("time", json!({ "image": "time:1" }));
        assert_eq!(index.apply_server(time.clone()).len(), 1);
        let mut touched = time;
        touched.metadata.resource_version = Some("9".to_owned());
        touched.metadata.labels = Some([("team".to_owned(), "a".to_owned())].into());
        assert_eq!(index.apply_server(touched), []);
        let pods = slice("a", "time", &[("p1", "10.0.0.1", ready())]);
        assert_eq!(index.apply_slice(&pods).len(), 1);
        assert_eq!(index.apply_slice(&pods), []);
        assert_eq!(index.apply_slice(&slice("c", "other", &[("p", "10.0.0.9", ready())])), []);
        assert_eq!(index.delete_server(&named("none")), []);
    }

    #[test]
    fn a_malformed_server_is_refused_alone_and_comes_back_when_corrected() {
        let mut index = Index::default();
        index.apply_server(server("time", json!({ "image": "time:1" })));
        index.apply_server(server("good", json!({ "image": "x" })));
        let refused = index.apply_malformed(named("time"), "spec.port: invalid type");
        assert!(matches!(&refused[..], [Change::Refuse { name, reason }]
            if *name == named("time") && reason.contains("spec.port")));
        assert_eq!(index.apply_server(server("good", json!({ "image": "x" }))), []);
        let corrected = index.apply_server(server("time", json!({ "image": "time:1" })));
        assert!(matches!(&corrected[..], [Change::Apply(_)]));
    }

    #[test]
    fn a_new_list_forgets_what_is_not_in_it_within_its_namespace() {
        let mut index = Index::default();
        for name in ["a", "b"] {
            index.apply_server(server(name, json!({ "image": "x" })));
        }
        index.apply_slice(&slice("s", "a", &[("p", "10.0.0.1", ready())]));
        assert_eq!(index.servers_listed(Some("other"), &BTreeSet::new()), []);
        let left = index.servers_listed(Some("tools"), &BTreeSet::from([named("a")]));
        assert_eq!(left, [Change::Delete(named("b"))]);
        assert_eq!(pods(&index.slices_listed(None, &BTreeSet::new())), []);
    }

    fn labelled(name: &str, pool: &str) -> MCPServer {
        let mut server = server(name, json!({ "image": "x" }));
        server.metadata.labels = Some([("pool".to_owned(), pool.to_owned())].into());
        server
    }

    fn pool(name: &str, wants: &str) -> MCPPool {
        serde_json::from_value(json!({
            "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPPool",
            "metadata": { "name": name, "namespace": "tools" },
            "spec": { "selector": { "matchLabels": { "pool": wants } } },
        }))
        .unwrap()
    }

    /// In a few words, in their order.
    fn said(changes: &[Change]) -> Vec<String> {
        let words = changes.iter().map(|change| match change {
            Change::Apply(downstream) => {
                let members = downstream.members().iter().map(|member| {
                    let Target::Endpoints { endpoints, .. } = &member.reached.as_ref().unwrap().target else {
                        panic!()
                    };
                    format!(" {}:{}", member.server.name, endpoints.len())
                });
                format!("{}{}", downstream.name.name, members.collect::<String>())
            }
            Change::Refuse { name, reason } => format!("no {}: {reason}", name.name),
            Change::Delete(name) => format!("gone {}", name.name),
        });
        words.collect()
    }

    #[test]
    fn members_appear_as_their_pool_and_by_themselves_again_when_it_is_gone() {
        let mut index = Index::default();
        index.apply_server(labelled("a", "x"));
        index.apply_server(labelled("b", "x"));
        index.apply_slice(&slice("s", "a", &[("p1", "10.0.0.1", ready())]));
        assert_eq!(said(&index.apply_pool(pool("search", "x"))), ["gone a", "gone b", "search a:1 b:0"]);
        assert!(index.apply_pool(pool("search", "x")).is_empty());
        let more = slice("t", "b", &[("p2", "10.0.0.2", ready())]);
        assert_eq!(said(&index.apply_slice(&more)), ["search a:1 b:1"]);
        assert_eq!(said(&index.apply_server(labelled("b", "none"))), ["b", "search a:1"]);
        assert_eq!(said(&index.apply_server(labelled("b", "x"))), ["gone b", "search a:1 b:1"]);
        assert_eq!(said(&index.delete_server(&named("b"))), ["search a:1"]);
        assert_eq!(said(&index.delete_pool(&named("search"))), ["gone search", "a"]);
    }

    #[test]
    fn a_contested_member_goes_to_the_next_pool_when_its_own_is_gone() {
        let mut index = Index::default();
        index.apply_pool(pool("first", "x"));
        index.apply_pool(pool("second", "x"));
        assert_eq!(said(&index.apply_server(labelled("a", "x"))), ["first a:0"]);
        assert_eq!(
            said(&index.pools_listed(None, &BTreeSet::from([named("second")]))),
            ["gone first", "second a:0"]
        );
    }

    #[test]
    fn a_pool_that_cannot_be_used_says_so_and_takes_nobody_in() {
        let mut index = Index::default();
        index.apply_server(labelled("a", "x"));
        let mut odd = pool("search", "x");
        odd.spec.selector.match_labels = None;
        let [refused] = &said(&index.apply_pool(odd))[..] else { panic!() };
        assert!(refused.starts_with("no search: spec.selector selects every MCPServer"), "{refused}");
        let mut prefix = pool("search", "x");
        prefix.spec.gateway.prefix = Some("A".to_owned());
        let changes = said(&index.apply_pool(prefix));
        assert!(changes[0] == "gone a" && changes[1].contains("spec.gateway.prefix"), "{changes:?}");
        // The server has the name, so it is no pool.
        index.delete_pool(&named("search"));
        assert!(index.apply_pool(pool("a", "x")).is_empty());
    }

    #[test]
    fn headers_come_from_secrets_and_what_is_missing_is_said() {
        let mut index = Index::default();
        let header = json!({ "name": "X-Key", "secretKeyRef": { "name": "s", "key": "k" } });
        let spec = json!({ "remote": { "url": "https://far/mcp", "headersFrom": [header] } });
        let said = |changes: Vec<Change>| match &changes[..] {
            [Change::Refuse { reason, .. }] => reason.clone(),
            [Change::Apply(downstream)] => match &downstream.target {
                Target::Url { headers, .. } => {
                    format!("{:?} {:?}", headers[0].0, headers[0].1.to_str().unwrap())
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert!(said(index.apply_server(server("far", spec))).contains("was not read yet"));
        let wanted = index.wanted_secrets();
        let secret = SecretName { namespace: "tools".to_owned(), name: "s".to_owned() };
        assert_eq!(wanted, BTreeSet::from([secret.clone()]));
        let values =
            |key: &str, value: &str| Found::Values([(key.to_owned(), value.as_bytes().to_vec())].into());
        for (found, part) in [
            (
                Found::Forbidden,
                "spec.remote.headersFrom `X-Key`: Secret tools/s may not be read: bind the ClusterRole pilothouse-secrets",
            ),
            (Found::Never, "is not read from outside the cluster"),
            (Found::Missing, "Secret tools/s does not exist: create it"),
            (values("other", "v"), "has no key k: it has other"),
            (values("k", "two\nlines"), "is not one line of text"),
            (values("k", "Bearer a\n"), "\"x-key\" \"Bearer a\""),
        ] {
            let said = said(index.apply_secret(secret.clone(), found));
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(index.apply_secret(secret.clone(), values("k", "Bearer a\n")), []);
        index.delete_server(&named("far"));
        assert!(index.wanted_secrets().is_empty());
    }
}
