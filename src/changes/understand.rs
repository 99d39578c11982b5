//! From a proposal to an intent, with the object as the cluster has it.

use super::identity::Intent;
use crate::{
    caller::Caller,
    tools::{ClusterChecks, Live, Proposal},
};

/// What was asked for, and what it was read against.
pub(super) struct Understood {
    pub(super) intent: Intent,
    /// The repository that was named.
    pub(super) repository: Option<String>,
    /// Absent where there is no cluster: patches then stand for what they name.
    pub(super) live: Option<Live>,
}

/// # Errors
/// One sentence: the object or a field of it is not there, or the change cannot be taken.
pub(super) async fn understood(
    caller: &Caller,
    proposal: Proposal,
    cluster: Option<&dyn ClusterChecks>,
) -> Result<Understood, String> {
    let live = match cluster {
        Some(cluster) => {
            let Proposal { kind, namespace, name, .. } = &proposal;
            Some(cluster.live(caller, kind, namespace.as_deref(), name).await?)
        }
        None => None,
    };
    let (intent, repository) = Intent::parse(proposal, live.as_ref())?;
    Ok(Understood { intent, repository, live })
}
