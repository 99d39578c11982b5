//! The gateway: downstream MCP servers, their catalogue, and calls to them. Knows MCP, not Kubernetes.
//!
//! `fleet` feeds it with [`Downstream`] values through [`Gateway::apply`] and [`Gateway::delete`]; `mcp` reads
//! [`Gateway::catalogue`] and sends requests through [`Gateway::call`].

mod board;
pub mod catalogue;
pub mod downstream;
mod names;
pub mod observation;
mod offer;
mod registry;
pub mod wire;

pub use catalogue::{Catalogue, Entry, Kind, Route};
pub use downstream::{Downstream, Endpoint, Prefix, ServerName, Target, ToolPolicy, Transport};
pub use observation::{Observation, ServerInfo, State, ToolSummary};

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{mpsc, watch};

use wire::{Era, Raw, RpcError, Up};

/// A proxied request, names and URIs already those of the downstream.
#[derive(Debug)]
pub struct Request {
    pub server: ServerName,
    pub method: String,
    /// As the client sent them, but for renamed names; the client's own progress token is still in `_meta`.
    pub params: Option<Raw>,
    /// The era of the asking client: the answer is given in its words.
    pub era: Era,
}

/// What every downstream's last handshake and calls have shown.
pub type Observations = Arc<BTreeMap<ServerName, Observation>>;

/// All downstreams and what they offer. Cheap to share behind an `Arc`.
pub struct Gateway {
    catalogue: watch::Sender<Arc<Catalogue>>,
    observations: watch::Sender<Observations>,
    desired: Mutex<BTreeMap<ServerName, Downstream>>,
}

impl Gateway {
    /// `own` are pilothouse's own entries (route [`Route::Own`]); they are in the catalogue from the start.
    pub fn new(own: Vec<Entry>) -> Self {
        let catalogue = Catalogue::new(0, own.into_iter().map(Arc::new).collect());
        Self {
            catalogue: watch::Sender::new(Arc::new(catalogue)),
            observations: watch::Sender::default(),
            desired: Mutex::default(),
        }
    }

    /// Registers a downstream, or changes it. Returns at once; connecting happens in the background. Must be
    /// called inside a Tokio runtime. Applying an equal value again does nothing.
    pub fn apply(&self, downstream: Downstream) {
        let mut desired = self.desired.lock().unwrap_or_else(PoisonError::into_inner);
        desired.insert(downstream.name.clone(), downstream);
    }

    /// Forgets a downstream; its tools leave the catalogue, its calls in flight end with an error.
    pub fn delete(&self, name: &ServerName) {
        let mut desired = self.desired.lock().unwrap_or_else(PoisonError::into_inner);
        desired.remove(name);
    }

    /// The catalogue of this moment.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.borrow().clone()
    }

    /// Told of every new catalogue.
    pub fn catalogues(&self) -> watch::Receiver<Arc<Catalogue>> {
        self.catalogue.subscribe()
    }

    /// Told of every change of what is known of the downstreams.
    pub fn observations(&self) -> watch::Receiver<Observations> {
        self.observations.subscribe()
    }

    /// Sends a request to a downstream and waits for its answer; `up` gets what the server sends meanwhile, in
    /// its order, before the answer. Dropping the future cancels the request at the downstream.
    ///
    /// # Errors
    /// The downstream's own error as it came, or ours when it is unknown, unreachable or too slow.
    pub async fn call(&self, request: Request, up: mpsc::Sender<Up>) -> Result<Raw, RpcError> {
        drop(up);
        Err(RpcError::new(RpcError::INTERNAL, &format!("server {} is not connected", request.server)))
    }

    /// Ends connections and child processes; calls in flight may finish before `deadline` has passed.
    pub async fn shutdown(&self, deadline: std::time::Duration) {
        tracing::debug!(?deadline, "gateway ends");
    }
}
