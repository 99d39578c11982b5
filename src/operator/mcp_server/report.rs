//! Says what was found and done: the status, where it changed, and events. Needs the writer.

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::{
    Context, Error,
    dereference::Dereferenced,
    status::{self, Situation},
};
use crate::{
    api::{MCPServer, mcp_server::Phase},
    fleet::ServerName,
    operator::{deeds, events::Happening, metrics::Step},
};

/// Answers the phase.
///
/// # Errors
/// When the status cannot be written. An event that cannot be written is lost: the status says the same.
pub(super) async fn report(
    context: &Context,
    server: &MCPServer,
    situation: &Situation<'_>,
    live: &Dereferenced,
) -> Result<Option<Phase>, Error> {
    let uid = server.metadata.uid.as_deref().unwrap_or_default();
    let earlier = live
        .deployment
        .as_ref()
        .filter(|deployment| deployment.owner_references().iter().any(|owner| owner.uid == uid));
    let status = status::assess(server, situation, earlier, live.observation.as_ref(), Timestamp::now());
    let phase = status.phase;
    if let (Some(name), Some(namespace), Some(phase)) =
        (server.metadata.name.clone(), server.metadata.namespace.clone(), phase)
    {
        context.meter.phase(&ServerName { namespace, name }, phase.as_str());
    }
    let mut found = Vec::new();
    if server.status.as_ref() != Some(&status) {
        found = status::happenings(server.status.as_ref(), &status);
        let mut update = server.clone();
        update.status = Some(status);
        let writing = context.writer.status(&update);
        context.meter.timed(Step::Status, writing).await.map_err(Error::Status)?;
    }
    // Only now: a conflict above comes by here again, and nothing is told twice or forgotten.
    let done = deeds::told(&context.writer.take_deeds(uid));
    tell(context, server, done.into_iter().chain(found)).await;
    Ok(phase)
}

async fn tell(context: &Context, server: &MCPServer, told: impl IntoIterator<Item = Happening>) {
    let about = server.object_ref(&());
    for happening in told {
        if let Err(error) = context.writer.tell(&about, &happening).await {
            tracing::warn!(%error, reason = %happening.reason, "an event could not be told");
        }
    }
}
