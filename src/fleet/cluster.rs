//! The cluster's MCPServers and their pods, watched.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    hash::Hash,
    sync::Arc,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client,
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
    api::MCPServer,
    gateway::{ServerName, Target},
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

/// Watches MCPServers and EndpointSlices and keeps the roster as they say.
pub struct Cluster {
    client: Client,
    /// Empty: all.
    namespaces: Vec<String>,
    reach: Reach,
    roster: Arc<Roster>,
    /// True once every first list is complete.
    listed: watch::Sender<bool>,
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
}

impl Event {
    /// Which list is complete now: whether of servers, and its namespace.
    fn ends_list(&self) -> Option<(bool, Option<String>)> {
        match self {
            Self::Server(place, watcher::Event::InitDone) => Some((true, place.clone())),
            Self::Slice(place, watcher::Event::InitDone) => Some((false, place.clone())),
            _ => None,
        }
    }
}

/// What the lists that are under way have shown so far, by namespace.
#[derive(Default)]
struct Lists {
    servers: BTreeMap<Option<String>, BTreeSet<ServerName>>,
    slices: BTreeMap<Option<String>, BTreeSet<SliceName>>,
}

impl Cluster {
    /// `namespaces` empty watches all of them, which needs rights on the whole cluster.
    pub fn new(client: Client, namespaces: Vec<String>, reach: Reach, roster: Arc<Roster>) -> Self {
        Self { client, namespaces, reach, roster, listed: watch::Sender::new(false) }
    }

    /// Turns true once all MCPServers and EndpointSlices have been listed for the first time.
    pub fn listed(&self) -> watch::Receiver<bool> {
        self.listed.subscribe()
    }

    /// Runs until `stop`. An API server that is away is asked again, ever less often (at most every 30 s); what
    /// was known stays registered meanwhile.
    pub async fn run(self, stop: CancellationToken) {
        let mut index = Index::default();
        let mut lists = Lists::default();
        let mut forwards = Forwards::new(self.client.clone());
        let mut events = self.events();
        let mut listed = BTreeSet::new();
        // Two kinds in each place.
        let first_lists = 2 * self.namespaces.len().max(1);
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
                self.listed.send_if_modified(|known| !std::mem::replace(known, true));
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
            let (servers, slices) = (place.clone(), place.clone());
            let config = watcher::Config::default();
            events.push(
                watched::<DeserializeGuard<MCPServer>>(&self.client, place.as_deref(), config, "MCPServers")
                    .map(move |event| Event::Server(servers.clone(), event))
                    .boxed(),
            );
            let config = watcher::Config::default().labels(OURS);
            events.push(
                watched::<EndpointSlice>(&self.client, place.as_deref(), config, "EndpointSlices")
                    .map(move |event| Event::Slice(slices.clone(), event))
                    .boxed(),
            );
        }
        events
    }
}

/// The events of one kind. Errors are retried with backoff; the first of a row is logged, and their end.
fn watched<K>(
    client: &Client,
    namespace: Option<&str>,
    config: watcher::Config,
    what: &'static str,
) -> BoxStream<'static, watcher::Event<K>>
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
        .filter_map(move |event| {
            let event = match event {
                Ok(event) => {
                    if std::mem::take(&mut broken) {
                        tracing::info!(what, namespace, "watched again");
                    }
                    Some(event)
                }
                Err(error) => {
                    if !std::mem::replace(&mut broken, true) {
                        tracing::warn!(what, namespace, %error, "cannot be watched, trying again");
                    }
                    None
                }
            };
            std::future::ready(event)
        })
        .boxed()
}

/// The same change with pods at loopback addresses.
async fn forwarded(forwards: &mut Forwards, change: Change) -> Change {
    match change {
        Change::Apply(mut downstream) => {
            if let Target::Endpoints { endpoints, .. } = &mut downstream.target {
                *endpoints = forwards.reach(&downstream.name, std::mem::take(endpoints)).await;
            }
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
        Err(invalid) => {
            let name = ServerName {
                namespace: invalid.metadata.namespace.unwrap_or_default(),
                name: invalid.metadata.name.unwrap_or_default(),
            };
            index.apply_malformed(name, &invalid.error)
        }
    }
}

fn name(DeserializeGuard(server): &DeserializeGuard<MCPServer>) -> ServerName {
    match server {
        Ok(server) => manifest::name(server),
        Err(invalid) => ServerName {
            namespace: invalid.metadata.namespace.clone().unwrap_or_default(),
            name: invalid.metadata.name.clone().unwrap_or_default(),
        },
    }
}
