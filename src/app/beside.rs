//! This process beside its replicas: how it is named, where the others are, and the way in for what they send.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use futures::future::BoxFuture;

use crate::{
    answer::Sealer,
    cluster::Connection,
    gateway::Gateway,
    mcp::{
        self, Face, HttpSettings,
        sessions::{Alone, Sessions},
    },
    operator::{self, OperatorSettings, Peers},
    peers::{self, Desk, Neighbours, Replica},
};

const PURPOSE: &str = "pilothouse sessions and requests of replicas";

/// How long a process that starts waits for what the others remember.
const INHERITED_WITHIN: Duration = Duration::from_secs(3);

/// How long the others are still told that sessions which were here go on elsewhere: a port that is closed while they
/// send leaves them in doubt whether a request was acted on.
const LINGERING: Duration = Duration::from_millis(500);

pub(super) struct Beside {
    sessions: Sessions,
    others: Option<Others>,
}

struct Others {
    replica: Arc<Replica>,
    desk: Desk,
}

impl Beside {
    /// `shared` is what all replicas have to make keys from.
    ///
    /// # Errors
    /// When the system has no random bytes, or no HTTP client can be made.
    pub(super) fn new(
        shared: Option<&[u8; 32]>,
        neighbours: Option<Arc<dyn Neighbours>>,
    ) -> anyhow::Result<Self> {
        let Some(shared) = shared else {
            if neighbours.is_some() {
                tracing::warn!(
                    "the replicas share no key: a session that reaches the wrong one must be opened again; start all of them with the same --token-file or PILOTHOUSE_TOKEN"
                );
            }
            return Ok(Self { sessions: Sessions::alone(), others: None });
        };
        let sealer = Sealer::with_key(&peers::key(shared, PURPOSE)).context("sessions cannot be sealed")?;
        let Some(neighbours) = neighbours else {
            // With the same key, the next process makes the sessions of this one again.
            return Ok(Self { sessions: Sessions::new(sealer, Arc::new(Alone::default())), others: None });
        };
        let name = uuid::Uuid::new_v4().simple().to_string();
        let desk = Desk::new(name.clone(), &sealer);
        let replica =
            Replica::new(name, &sealer, neighbours).context("the other replicas cannot be called")?;
        let replica = Arc::new(replica);
        let sessions = Sessions::new(sealer, replica.clone());
        Ok(Self { sessions, others: Some(Others { replica, desk }) })
    }

    /// The name of this process among all replicas.
    pub(super) fn here(&self) -> &str {
        self.sessions.here()
    }

    /// The MCP routes; what other replicas send comes in beside them.
    pub(super) fn doors(&self, face: Arc<Face>, gateway: Arc<Gateway>, settings: HttpSettings) -> Router {
        let holds = gateway.clone();
        let sessions = self.sessions.clone().holding(Arc::new(move |state| holds.holder(state)));
        let settings = HttpSettings { sessions, ..settings };
        let (front, back) = mcp::http::doors(face, settings);
        if let Some(Others { replica: _, desk }) = &self.others {
            let lists = move || serde_json::to_vec(&gateway.legacy()).unwrap_or_default();
            desk.plug(back, Box::new(lists));
        }
        front
    }

    /// Takes over what another replica remembers of servers, so that they are shown before they have answered here.
    pub(super) fn inherit(&self, gateway: Arc<Gateway>) -> impl Future<Output = ()> + Send + 'static {
        let replica = self.others.as_ref().map(|others| others.replica.clone());
        async move {
            let Some(replica) = replica else { return };
            let Ok(Some(lists)) = tokio::time::timeout(INHERITED_WITHIN, replica.lists()).await else {
                return;
            };
            match serde_json::from_slice(&lists) {
                Ok(legacy) => gateway.inherit(legacy),
                Err(error) => {
                    tracing::warn!(%error, "what another replica remembers of servers is not understood")
                }
            }
        }
    }

    pub(super) fn lingering(&self) -> Duration {
        if self.others.is_some() { LINGERING } else { Duration::ZERO }
    }

    /// For the health port.
    pub(super) fn router(&self) -> Router {
        self.others.as_ref().map_or_else(Router::new, |others| others.desk.router())
    }
}

/// Where the other replicas are: as the configuration names them, or as pods of our own set.
pub(super) fn neighbours(
    named: &[SocketAddr],
    cluster: Option<&Connection>,
    operator: Option<&OperatorSettings>,
) -> Option<Arc<dyn Neighbours>> {
    if !named.is_empty() {
        return Some(Arc::new(Named(named.to_vec())));
    }
    let (connection, operator) = cluster.zip(operator)?;
    match operator.peers {
        Peers::Named(_) => None,
        Peers::Found { .. } => {
            Some(Arc::new(Found(operator::Others::new(connection.client.clone(), operator))))
        }
    }
}

struct Named(Vec<SocketAddr>);

impl Neighbours for Named {
    fn addresses(&self) -> BoxFuture<'_, Vec<SocketAddr>> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

struct Found(operator::Others);

impl Neighbours for Found {
    fn addresses(&self) -> BoxFuture<'_, Vec<SocketAddr>> {
        Box::pin(self.0.addresses())
    }
}
