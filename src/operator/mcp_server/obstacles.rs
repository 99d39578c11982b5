//! What is not ours and stands in a server's way; looked for only while something does. Needs a client.

use super::{
    Context,
    dereference::Dereferenced,
    objections::{foreign_autoscaler, mentions, missing},
    status,
    validate::{Owner, Workload},
};
use crate::{api::MCPServer, operator::field_error::FieldError};

/// In the words of the webhook.
pub(super) async fn found(
    context: &Context,
    server: &MCPServer,
    owner: &Owner,
    workload: &Workload,
    live: &Dereferenced,
) -> Vec<FieldError> {
    let mut found = Vec::new();
    if !live.is_ready() {
        found = missing(&context.client, &owner.name.namespace, &mentions(server)).await;
    }
    let now = live.deployment.as_ref().and_then(|deployment| deployment.spec.as_ref()?.replicas);
    let is_moved = now.is_some_and(|now| workload.replicas.wanted(Some(now)) != now);
    if is_moved || server.status.as_ref().is_some_and(status::was_scaled) {
        found.extend(foreign_autoscaler(&context.client, owner).await);
    }
    found
}
