//! What the operator asks of the servers that run: whether anybody uses them, what a single pod offers, and who belongs
//! to which pool.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use kube::Client;
use tokio::sync::watch;

use super::{
    cluster::Reach,
    forward::Forwards,
    manifest,
    roster::{Known, Roster},
    rows, secrets,
    usage::ServerUse,
};
use crate::{
    api::MCPServer,
    gateway::{Downstream, Endpoint, Gateway, Member, Refusal, ServerName, Target, ToolDefinition},
};

/// One pod, ready or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodAddress {
    pub name: String,
    pub ip: IpAddr,
    pub port: u16,
}

/// What became of an MCPPool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolStands {
    /// It cannot be acted on: why, in one sentence.
    Refused(String),
    /// A server that is older has its name.
    NameTaken,
    /// Sorted by name.
    Members(Vec<PoolMember>),
}

/// A member of a pool as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolMember {
    pub server: ServerName,
    /// Pods that may get new work; 1 for a remote server.
    pub endpoints: usize,
    /// Why it cannot be used, in one sentence.
    pub refused: Option<String>,
}

fn members_of(known: &Known) -> Option<&[Member]> {
    match &known.declared.as_ref().ok()?.target {
        Target::Members(members) => Some(members),
        Target::Endpoints { .. } | Target::Url { .. } | Target::Process(_) => None,
    }
}

fn stands(known: &Known) -> PoolStands {
    match (&known.declared, members_of(known)) {
        (Err(reason), _) => PoolStands::Refused(reason.to_string()),
        (Ok(_), None) => PoolStands::NameTaken,
        (Ok(_), Some(members)) => PoolStands::Members(members.iter().map(member).collect()),
    }
}

fn member(member: &Member) -> PoolMember {
    PoolMember {
        server: member.server.clone(),
        endpoints: rows::of_member(member),
        refused: member.reached.as_ref().err().map(ToString::to_string),
    }
}

/// An older server has the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    pub prefix: String,
    pub holder: ServerName,
}

/// The servers as the gateway of this process knows them. Cheap to clone.
///
/// Use is that of this process alone. What other replicas have of it they serve as [`super::Usage`]; the operator asks
/// them before it puts a server to rest, and while one rests.
#[derive(Clone)]
pub struct Serving {
    gateway: Arc<Gateway>,
    roster: Arc<Roster>,
    client: Client,
    reach: Reach,
}

impl Serving {
    pub fn new(gateway: Arc<Gateway>, roster: Arc<Roster>, client: Client, reach: Reach) -> Self {
        Self { gateway, roster, client, reach }
    }

    /// Why it is declared and cannot be used.
    pub fn refused(&self, server: &ServerName) -> Option<Refusal> {
        let known = self.roster.known();
        let known = known.borrow();
        if let Some(known) = known.get(server) {
            return known.declared.as_ref().err().cloned();
        }
        let members = known.values().filter_map(members_of).flatten();
        members
            .filter(|member| member.server == *server)
            .find_map(|member| member.reached.as_ref().err().cloned())
    }

    /// Waits until everything that the cluster declares was seen once.
    pub async fn listed(&self) {
        // Its sender lives as long as the roster.
        let _ = self.roster.listed().wait_for(|listed| *listed).await;
    }

    /// Told of every change of what is declared. Do not hold the borrowed map for long.
    pub fn changes(&self) -> watch::Receiver<BTreeMap<ServerName, Known>> {
        self.roster.known()
    }

    /// What became of the MCPPool of this name; nothing before it was seen.
    pub fn pool(&self, name: &ServerName) -> Option<PoolStands> {
        self.roster.known().borrow().get(name).map(stands)
    }

    /// Every pool that appears.
    pub fn pools(&self) -> BTreeMap<ServerName, PoolStands> {
        let known = self.roster.known();
        let known = known.borrow();
        let pools = known.iter().filter(|(_, known)| known.declared.is_err() || members_of(known).is_some());
        pools.map(|(name, known)| (name.clone(), stands(known))).collect()
    }

    /// Whether an older server has the prefix that the tools of this one would be shown under.
    pub fn contest(&self, server: &MCPServer) -> Option<Contest> {
        let downstream = manifest::in_cluster(server, Vec::new(), &secrets::Known::default()).ok()?;
        let prefix = downstream.prefix.as_str();
        // Without a prefix nobody takes it from anybody.
        if prefix.is_empty() {
            return None;
        }
        let known = self.roster.known();
        let known = known.borrow();
        let rivals = known.values().filter_map(|other| other.declared.as_ref().ok());
        let age = |one: &Downstream| (one.created, one.name.clone());
        let rivals =
            rivals.filter(|other| other.name != downstream.name && other.prefix == downstream.prefix);
        let oldest = rivals.min_by_key(|other| age(other))?;
        // What is not stored yet is the youngest.
        let is_stored = server.metadata.creation_timestamp.is_some();
        let is_older = !is_stored || age(oldest) < age(&downstream);
        is_older.then(|| Contest { prefix: prefix.to_owned(), holder: oldest.name.clone() })
    }

    /// How this process uses it.
    pub fn usage(&self, server: &ServerName) -> ServerUse {
        ServerUse::of(&self.gateway, server)
    }

    /// Closes our connections to it and keeps none until it is roused; calls wait. Whether it was done: not while
    /// somebody uses it.
    pub fn rest(&self, server: &ServerName) -> bool {
        self.gateway.rest(server)
    }

    pub fn rouse(&self, server: &ServerName) {
        self.gateway.rouse(server);
    }

    /// The servers that calls wait for to wake.
    pub fn waited_for(&self) -> watch::Receiver<BTreeSet<ServerName>> {
        self.gateway.parked()
    }

    /// The tools that its callers know.
    pub fn tools(&self, server: &ServerName) -> Vec<ToolDefinition> {
        self.gateway.definitions(server)
    }

    /// The tools of one pod of a server, by a handshake with that pod.
    ///
    /// # Errors
    /// One sentence: why it does not answer as an MCP server.
    pub async fn tools_of_pod(
        &self,
        server: &MCPServer,
        pod: PodAddress,
    ) -> Result<Vec<ToolDefinition>, String> {
        let PodAddress { name, ip, port } = pod;
        let endpoint = Endpoint { id: name, address: SocketAddr::new(ip, port), terminating: false };
        let mut downstream = manifest::in_cluster(server, vec![endpoint], &secrets::Known::default())
            .map_err(|refused| refused.to_string())?;
        // Its listener lives as long as this.
        let mut forwards = Forwards::new(self.client.clone());
        if self.reach == Reach::PortForward {
            forwards.reach_all(&downstream.name, &mut downstream.target).await;
        }
        self.gateway.inspect(&downstream).await
    }
}
