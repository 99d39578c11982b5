//! What the operator must be told.

use std::{net::SocketAddr, sync::Arc};

use super::{lease::Timing, litellm::LitellmSettings, policy::Policy};

/// Name under which the API server records our fields, and events name us.
pub(super) const FIELD_MANAGER: &str = "pilothouse";

/// Name of the Lease that the writing replica holds.
pub const LEASE: &str = "pilothouse";

#[derive(Clone, Debug)]
pub struct OperatorSettings {
    /// Namespaces whose MCPServers are reconciled. Empty: all.
    pub namespaces: Vec<String>,
    /// Who holds the Lease: the pod's name, or another word that is this process's alone.
    pub identity: String,
    /// Where the Lease is kept: the pod's own namespace.
    pub lease_namespace: String,
    /// The image this program runs from, which brings the bridge into the pods of stdio servers
    /// (`PILOTHOUSE_IMAGE`). Without it stdio servers with an image are not accepted, and a condition says so.
    pub own_image: Option<String>,
    pub lease_timing: Timing,
    /// What the installation allows; a server that breaks it is not accepted.
    pub policy: Arc<Policy>,
    /// DataSources may be at addresses of this machine. Not inside a cluster: there they are the operator's own
    /// pod, which whoever may make a DataSource has no business with.
    pub checks_loopback: bool,
    /// How many MCPServers are reconciled at the same time; at least 1.
    pub concurrency: u16,
    /// The LiteLLM proxy that servers with `litellm.register` are registered in.
    pub litellm: Option<LitellmSettings>,
    pub peers: Peers,
}

/// Where the other replicas say how they use servers: their health ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// These, and no others.
    Named(Vec<SocketAddr>),
    /// The pods of the Service `pilothouse-peers` in the namespace of the Lease, at this port.
    Found {
        /// The name of this process's own pod, which is not asked.
        own_pod: String,
        port: u16,
    },
}

impl OperatorSettings {
    pub fn new(identity: impl Into<String>, lease_namespace: impl Into<String>) -> Self {
        Self {
            namespaces: Vec::new(),
            identity: identity.into(),
            lease_namespace: lease_namespace.into(),
            own_image: None,
            lease_timing: Timing::default(),
            policy: Arc::default(),
            checks_loopback: false,
            concurrency: 8,
            litellm: None,
            peers: Peers::Named(Vec::new()),
        }
    }
}
