//! Children in another namespace than that of their server: no garbage collector removes them with it, we do.

use kube::{Api, core::DynamicObject};

use super::{Context, apply::ApplyError, owned::owner_elsewhere};
use crate::{api::MCPServer, fleet::ServerName};

/// Removes what a server left elsewhere that does not exist any more.
///
/// # Errors
/// When the API server does not answer or refuses. What is left is tried again at the next start.
pub(super) async fn sweep(context: &Context, gone: &ServerName) -> Result<(), ApplyError> {
    let left = context.sightings.of(gone).into_keys().filter(|child| child.namespace != gone.namespace);
    let left: Vec<_> = left.collect();
    if left.is_empty() {
        return Ok(());
    }
    // What is seen elsewhere may be older than the server that is being made: it is asked for.
    let servers = Api::<MCPServer>::namespaced(context.client.clone(), &gone.namespace);
    if servers.get_opt(&gone.name).await?.is_some() {
        return Ok(());
    }
    for child in left {
        let Some(resource) = context.served.known(child.kind) else { continue };
        let api = Api::<DynamicObject>::namespaced_with(context.client.clone(), &child.namespace, &resource);
        let Some(live) = api.get_opt(&child.name).await? else { continue };
        if owner_elsewhere(&live.metadata).is_some_and(|owner| owner.name == *gone) {
            tracing::info!(server = %gone, kind = %child.kind, namespace = child.namespace, "its server is gone: deleted");
            context.writer.delete_child(&resource, &live).await?;
        }
    }
    Ok(())
}
