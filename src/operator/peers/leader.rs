//! Where the replica that leads can be asked.

use std::{net::SocketAddr, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};

use super::{Whereabouts, found::Found};
use crate::operator::{LEASE, OperatorSettings, Peers};

const DEADLINE: Duration = Duration::from_secs(2);

/// The way to the replica that holds the Lease.
pub struct Leaders {
    lease: Api<Lease>,
    identity: String,
    whereabouts: Whereabouts,
}

impl Leaders {
    pub(in crate::operator) fn new(client: Client, settings: &OperatorSettings) -> Self {
        let OperatorSettings { lease_namespace, identity, peers, .. } = settings;
        let whereabouts = match peers {
            Peers::Named(addresses) => Whereabouts::Named(addresses.iter().copied().collect()),
            Peers::Found { own_pod, port } => {
                Whereabouts::Found(Box::new(Found::new(client.clone(), lease_namespace, own_pod, *port)))
            }
        };
        Self { lease: Api::namespaced(client, lease_namespace), identity: identity.clone(), whereabouts }
    }

    /// Who may lead, by their health ports; where they are named one by one, all of them.
    ///
    /// # Errors
    /// One sentence without its end: nobody leads, or it is not known where.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let found = match &self.whereabouts {
            Whereabouts::Named(addresses) if addresses.is_empty() => {
                return Err(
                    "the replica that leads is not known: name the health ports of the others in operator.peers"
                        .to_owned(),
                );
            }
            Whereabouts::Named(addresses) => return Ok(addresses.iter().copied().collect()),
            Whereabouts::Found(found) => found,
        };
        let lease = tokio::time::timeout(DEADLINE, self.lease.get(LEASE)).await;
        let lease = match lease {
            Ok(Ok(lease)) => lease,
            Ok(Err(error)) => return Err(format!("who leads cannot be read ({error})")),
            Err(_) => return Err("who leads cannot be read: the API server does not answer".to_owned()),
        };
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return Err("no replica leads at this moment".to_owned());
        }
        // `pod_number`: see where the identity is made.
        let pod = holder.rsplit_once('_').map_or(holder.as_str(), |(pod, _)| pod);
        match found.address_of(pod, DEADLINE).await {
            Some(address) => Ok(vec![address]),
            None => {
                Err(format!("pod {pod}, which leads, is not among the endpoints of Service pilothouse-peers"))
            }
        }
    }
}
