//! Pods reached through the API server: one loopback listener for each pod and port.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::gateway::{Endpoint, Member, ServerName, Target};

/// Connections through one listener at once; each is a websocket to the API server. More wait.
const CONNECTIONS: usize = 32;

/// The open forwards of every server.
pub(super) struct Forwards {
    client: Client,
    open: BTreeMap<ServerName, BTreeMap<(String, u16), Forward>>,
}

/// Closes its listener and ends its streams when dropped.
struct Forward {
    local: SocketAddr,
    _stop: DropGuard,
}

impl Forwards {
    pub(super) fn new(client: Client) -> Self {
        Self { client, open: BTreeMap::new() }
    }

    /// Whatever pods the target has, at loopback addresses.
    pub(super) async fn reach_all(&mut self, server: &ServerName, target: &mut Target) {
        match target {
            Target::Endpoints { endpoints, .. } => {
                *endpoints = self.reach(server, std::mem::take(endpoints)).await;
            }
            Target::Members(members) => {
                let mut own = endpoints_of(members);
                let all = own.iter().flat_map(|endpoints| endpoints.iter().cloned()).collect();
                let reached = self.reach(server, all).await;
                for endpoints in &mut own {
                    let is_own = |at: &&Endpoint| endpoints.iter().any(|own| own.id == at.id);
                    **endpoints = reached.iter().filter(is_own).cloned().collect();
                }
            }
            Target::Url { .. } | Target::Process(_) => {}
        }
    }

    /// The same pods at loopback addresses. Forwards to pods that are not among them are closed. A pod for which
    /// no listener can be opened is left out, and a log line says so.
    pub(super) async fn reach(&mut self, server: &ServerName, pods: Vec<Endpoint>) -> Vec<Endpoint> {
        let open = self.open.entry(server.clone()).or_default();
        open.retain(|(pod, port), _| pods.iter().any(|at| at.id == *pod && at.address.port() == *port));
        let mut reached = Vec::with_capacity(pods.len());
        for Endpoint { id, address, terminating } in pods {
            let key = (id.clone(), address.port());
            let local = match open.get(&key) {
                Some(forward) => forward.local,
                None => {
                    let pods = Api::namespaced(self.client.clone(), &server.namespace);
                    match Forward::open(pods, id.clone(), address.port()).await {
                        Ok(forward) => open.entry(key).or_insert(forward).local,
                        Err(error) => {
                            tracing::warn!(%server, pod = id, %error, "no loopback port for a forward");
                            continue;
                        }
                    }
                }
            };
            reached.push(Endpoint { id, address: local, terminating });
        }
        reached
    }

    pub(super) fn forget(&mut self, server: &ServerName) {
        self.open.remove(server);
    }
}

fn endpoints_of(members: &mut [Member]) -> Vec<&mut Vec<Endpoint>> {
    let reached = members.iter_mut().filter_map(|member| member.reached.as_mut().ok());
    let endpoints = reached.filter_map(|reached| match &mut reached.target {
        Target::Endpoints { endpoints, .. } => Some(endpoints),
        Target::Url { .. } | Target::Process(_) | Target::Members(_) => None,
    });
    endpoints.collect()
}

impl Forward {
    async fn open(pods: Api<Pod>, pod: String, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let local = listener.local_addr()?;
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, pods, pod, port, stop.clone())));
        Ok(Self { local, _stop: stop.drop_guard() })
    }
}

async fn accept(listener: TcpListener, pods: Api<Pod>, pod: String, port: u16, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Taken first: who finds no place waits in the listener's own queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (pods, pod) = (pods.clone(), pod.clone());
                tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                    // A broken forward ends the stream, so that the gateway sees it and connects anew.
                    if let Err(reason) = pass(stream, &pods, &pod, port).await {
                        tracing::debug!(pod, port, reason, "forward ended");
                    }
                    drop(place);
                }));
            }
            Err(error) => {
                // Mostly too many open files: better in a moment.
                tracing::warn!(pod, port, %error, "a forward cannot take a connection");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
    }
}

async fn pass(mut local: TcpStream, pods: &Api<Pod>, pod: &str, port: u16) -> Result<(), String> {
    local.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut forwarder = pods.portforward(pod, &[port]).await.map_err(|error| error.to_string())?;
    let (Some(mut remote), Some(failed)) = (forwarder.take_stream(port), forwarder.take_error(port)) else {
        return Err("the API server opened another port".to_owned());
    };
    let mut failed = std::pin::pin!(failed);
    let copy = tokio::io::copy_bidirectional(&mut local, &mut remote);
    let mut copy = std::pin::pin!(copy);
    let ended = tokio::select! {
        copied = &mut copy => copied.map(drop).map_err(|error| error.to_string()),
        // Also resolves, without a message, when the connection to the API server ends.
        reason = &mut failed => match reason {
            Some(reason) => Err(reason),
            None => copy.await.map(drop).map_err(|error| error.to_string()),
        },
    };
    forwarder.abort();
    ended
}
