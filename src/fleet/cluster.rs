//! The cluster's MCPServers, MCPPools and the servers' pods, watched.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    hash::Hash,
    sync::Arc,
};

use futures::{
    StreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client,
    api::ObjectMeta,
    core::DeserializeGuard,
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    forward::Forwards,
    index::{Index, SliceName},
    manifest,
    roster::{Change, Roster, Source},
    secrets::{Found, SecretName, Watches},
};
use crate::{
    api::{MCPPool, MCPServer},
    gateway::ServerName,
};

/// Secrets of which there is news at once.
const NEWS: usize = 64;

/// Slices carry their Service's labels; this one stands on every Service of ours.
const OURS: &str = "app.kubernetes.io/managed-by=pilothouse";

/// How pods are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By their addresses: we are in the cluster's network.
    Direct,
    /// Through the API server, from a laptop.
    PortForward,
}

/// Watches MCPServers, MCPPools and EndpointSlices and keeps the roster as they say.
pub struct Cluster {
    client: Client,
    /// Empty: all.
    namespaces: Vec<String>,
    reach: Reach,
    roster: Arc<Roster>,
}

/// How Secrets for headers are come by. On a laptop the user's own rights would open far more than what was bound to
/// us: there none is read.
enum Secrets {
    Watched(Watches),
    NotRead,
}

impl Secrets {
    /// After a change of the servers: what they name is read, what they no longer name is forgotten.
    fn keep(&mut self, index: &mut Index) -> Vec<Change> {
        let wanted = index.wanted_secrets();
        index.forget_secrets(&wanted);
        match self {
            Self::Watched(watches) => {
                watches.keep(&wanted);
                Vec::new()
            }
            Self::NotRead => {
                wanted.into_iter().flat_map(|name| index.apply_secret(name, Found::Never)).collect()
            }
        }
    }
}

/// Something that was watched, in one namespace or (`None`) in all.
// One at a time and soon gone, so the larger kind may have its size.
#[allow(clippy::large_enum_variant)]
enum Event {
    Server(Option<String>, watcher::Event<DeserializeGuard<MCPServer>>),
    Slice(Option<String>, watcher::Event<EndpointSlice>),
    Pool(Option<String>, watcher::Event<DeserializeGuard<MCPPool>>),
    /// The cluster does not have the kind, or does not let us see it: it is served without pools.
    PoolsUnseen(Option<String>, Unseen),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unseen {
    Absent,
    Forbidden,
}

/// What is listed in each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    Servers,
    Slices,
    Pools,
}

impl Listed {
    const ALL: [Self; 3] = [Self::Servers, Self::Slices, Self::Pools];
}

impl Event {
    /// Which list is complete now, and its namespace.
    fn ends_list(&self) -> Option<(Listed, Option<String>)> {
        match self {
            Self::Server(place, watcher::Event::InitDone) => Some((Listed::Servers, place.clone())),
            Self::Slice(place, watcher::Event::InitDone) => Some((Listed::Slices, place.clone())),
            Self::Pool(place, watcher::Event::InitDone) | Self::PoolsUnseen(place, _) => {
                Some((Listed::Pools, place.clone()))
            }
            _ => None,
        }
    }
}

/// What the lists that are under way have shown so far, by namespace.
#[derive(Default)]
struct Lists {
    servers: BTreeMap<Option<String>, BTreeSet<ServerName>>,
    slices: BTreeMap<Option<String>, BTreeSet<SliceName>>,
    pools: BTreeMap<Option<String>, BTreeSet<ServerName>>,
}

impl Cluster {
    /// `namespaces` empty watches all of them, which needs rights on the whole cluster.
    pub fn new(client: Client, namespaces: Vec<String>, reach: Reach, roster: Arc<Roster>) -> Self {
        Self { client, namespaces, reach, roster }
    }

    /// Turns true once all MCPServers, MCPPools and EndpointSlices have been listed for the first time.
    pub fn listed(&self) -> watch::Receiver<bool> {
        self.roster.listed()
    }

    /// Runs until `stop`. An API server that is away is asked again, ever less often (at most every 30 s); what
    /// was known stays registered meanwhile.
    pub async fn run(self, stop: CancellationToken) {
        let mut index = Index::default();
        let mut lists = Lists::default();
        let mut forwards = Forwards::new(self.client.clone());
        let mut events = self.events();
        let mut listed = BTreeSet::new();
        let first_lists = Listed::ALL.len() * self.namespaces.len().max(1);
        let (tell, mut told) = mpsc::channel(NEWS);
        let mut secrets = self.secrets(tell);
        loop {
            let changes = tokio::select! {
                () = stop.cancelled() => break,
                event = events.next() => {
                    let Some(event) = event else { break };
                    listed.extend(event.ends_list());
                    let is_of_a_server = matches!(event, Event::Server(..));
                    let mut changes = lists.take(&mut index, event);
                    if is_of_a_server {
                        changes.extend(secrets.keep(&mut index));
                    }
                    changes
                }
                Some((secret, found)) = told.recv() => index.apply_secret(secret, found),
            };
            for change in changes {
                let change = match self.reach {
                    Reach::Direct => change,
                    Reach::PortForward => forwarded(&mut forwards, change).await,
                };
                self.roster.record(Source::Cluster, change);
            }
            if listed.len() == first_lists {
                self.roster.note_listed();
            }
        }
    }

    fn secrets(&self, tell: mpsc::Sender<(SecretName, Found)>) -> Secrets {
        match self.reach {
            Reach::Direct => Secrets::Watched(Watches::new(self.client.clone(), tell)),
            Reach::PortForward => Secrets::NotRead,
        }
    }

    fn events(&self) -> stream::SelectAll<BoxStream<'static, Event>> {
        let places: Vec<Option<String>> = if self.namespaces.is_empty() {
            vec![None]
        } else {
            self.namespaces.iter().cloned().map(Some).collect()
        };
        let mut events = stream::SelectAll::new();
        for place in places {
            let (servers, slices, pools) = (place.clone(), place.clone(), place.clone());
            let config = watcher::Config::default();
            events.push(
                watched::<DeserializeGuard<MCPServer>>(&self.client, place.as_deref(), config, "MCPServers")
                    .filter_map(move |event| {
                        ready(event.ok().map(|event| Event::Server(servers.clone(), event)))
                    })
                    .boxed(),
            );
            let config = watcher::Config::default().labels(OURS);
            events.push(
                watched::<EndpointSlice>(&self.client, place.as_deref(), config, "EndpointSlices")
                    .filter_map(move |event| {
                        ready(event.ok().map(|event| Event::Slice(slices.clone(), event)))
                    })
                    .boxed(),
            );
            let config = watcher::Config::default();
            events.push(
                watched::<DeserializeGuard<MCPPool>>(&self.client, place.as_deref(), config, "MCPPools")
                    .filter_map(move |event| {
                        ready(match event {
                            Ok(event) => Some(Event::Pool(pools.clone(), event)),
                            Err(error) => unseen(&error).map(|why| Event::PoolsUnseen(pools.clone(), why)),
                        })
                    })
                    .boxed(),
            );
        }
        events
    }
}

fn unseen(error: &watcher::Error) -> Option<Unseen> {
    let watcher::Error::InitialListFailed(kube::Error::Api(status)) = error else { return None };
    match status.code {
        404 => Some(Unseen::Absent),
        403 => Some(Unseen::Forbidden),
        _ => None,
    }
}

/// The events of one kind. Errors are retried with backoff; the first of a row is logged, and their end.
fn watched<K>(
    client: &Client,
    namespace: Option<&str>,
    config: watcher::Config,
    what: &'static str,
) -> BoxStream<'static, Result<watcher::Event<K>, watcher::Error>>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
    K::DynamicType: Hash + Eq,
{
    let api: Api<K> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let namespace = namespace.unwrap_or("all namespaces").to_owned();
    let mut broken = false;
    watcher(api, config)
        .default_backoff()
        .inspect(move |event| match event {
            Ok(_) => {
                if std::mem::take(&mut broken) {
                    tracing::info!(what, namespace, "watched again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut broken, true) {
                    tracing::warn!(what, namespace, %error, "cannot be watched, trying again");
                }
            }
        })
        .boxed()
}

/// The same change with pods at loopback addresses.
async fn forwarded(forwards: &mut Forwards, change: Change) -> Change {
    match change {
        Change::Apply(mut downstream) => {
            forwards.reach_all(&downstream.name, &mut downstream.target).await;
            Change::Apply(downstream)
        }
        Change::Refuse { name, reason } => {
            forwards.forget(&name);
            Change::Refuse { name, reason }
        }
        Change::Delete(name) => {
            forwards.forget(&name);
            Change::Delete(name)
        }
    }
}

impl Lists {
    fn take(&mut self, index: &mut Index, event: Event) -> Vec<Change> {
        match event {
            Event::Server(place, watcher::Event::Init) => {
                self.servers.insert(place, BTreeSet::new());
                Vec::new()
            }
            Event::Server(place, watcher::Event::InitApply(server)) => {
                self.servers.entry(place).or_default().insert(name(&server));
                apply(index, server)
            }
            Event::Server(place, watcher::Event::InitDone) => {
                let seen = self.servers.remove(&place).unwrap_or_default();
                index.servers_listed(place.as_deref(), &seen)
            }
            Event::Server(_, watcher::Event::Apply(server)) => apply(index, server),
            Event::Server(_, watcher::Event::Delete(server)) => index.delete_server(&name(&server)),
            Event::Pool(place, watcher::Event::Init) => {
                self.pools.insert(place, BTreeSet::new());
                Vec::new()
            }
            Event::Pool(place, watcher::Event::InitApply(pool)) => {
                self.pools.entry(place).or_default().insert(pool_name(&pool));
                apply_pool(index, pool)
            }
            Event::Pool(place, watcher::Event::InitDone) => {
                let seen = self.pools.remove(&place).unwrap_or_default();
                index.pools_listed(place.as_deref(), &seen)
            }
            Event::Pool(_, watcher::Event::Apply(pool)) => apply_pool(index, pool),
            Event::Pool(_, watcher::Event::Delete(pool)) => index.delete_pool(&pool_name(&pool)),
            // Those that we knew are gone with their kind; those that we may not see any more stay as they were.
            Event::PoolsUnseen(place, Unseen::Absent) => {
                index.pools_listed(place.as_deref(), &BTreeSet::new())
            }
            Event::PoolsUnseen(_, Unseen::Forbidden) => Vec::new(),
            Event::Slice(place, watcher::Event::Init) => {
                self.slices.insert(place, BTreeSet::new());
                Vec::new()
            }
            Event::Slice(place, watcher::Event::InitApply(slice)) => {
                self.slices.entry(place).or_default().insert(SliceName::of(&slice));
                index.apply_slice(&slice)
            }
            Event::Slice(place, watcher::Event::InitDone) => {
                let seen = self.slices.remove(&place).unwrap_or_default();
                index.slices_listed(place.as_deref(), &seen)
            }
            Event::Slice(_, watcher::Event::Apply(slice)) => index.apply_slice(&slice),
            Event::Slice(_, watcher::Event::Delete(slice)) => index.delete_slice(&SliceName::of(&slice)),
        }
    }
}

fn apply(index: &mut Index, server: DeserializeGuard<MCPServer>) -> Vec<Change> {
    match server.0 {
        Ok(server) => index.apply_server(server),
        Err(invalid) => index.apply_malformed(named(&invalid.metadata), &invalid.error),
    }
}

fn apply_pool(index: &mut Index, pool: DeserializeGuard<MCPPool>) -> Vec<Change> {
    match pool.0 {
        Ok(pool) => index.apply_pool(pool),
        Err(invalid) => index.apply_malformed_pool(named(&invalid.metadata), &invalid.error),
    }
}

fn name(DeserializeGuard(server): &DeserializeGuard<MCPServer>) -> ServerName {
    match server {
        Ok(server) => manifest::name(server),
        Err(invalid) => named(&invalid.metadata),
    }
}

fn pool_name(DeserializeGuard(pool): &DeserializeGuard<MCPPool>) -> ServerName {
    match pool {
        Ok(pool) => manifest::pool_name(pool),
        Err(invalid) => named(&invalid.metadata),
    }
}

fn named(metadata: &ObjectMeta) -> ServerName {
    ServerName {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}
