//! Subscriptions to own resources: each is one task that tells the client of every update until it ends.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use rmcp::{RoleServer, model::ResourceUpdatedNotificationParam, service::Peer, service::SubscriptionSink};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::own::Updates;

/// Of one legacy session, by URI. Dropping it ends all of them.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<HashMap<String, DropGuard>>);

/// Updates of a resource this close together are told once.
const TOGETHER: Duration = Duration::from_millis(50);

/// More subscriptions of one session or stream are refused.
pub(super) const MOST: usize = 100;

impl Subscriptions {
    fn table(&self) -> MutexGuard<'_, HashMap<String, DropGuard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_full(&self) -> bool {
        self.table().len() >= MOST
    }

    /// Takes the place of an earlier one of that URI.
    pub(super) fn apply(
        &self,
        uri: String,
        updates: Updates,
        peer: Peer<RoleServer>,
        ended: &CancellationToken,
    ) {
        let ended = ended.child_token();
        let mut updates = updates.fuse().boxed();
        self.table().insert(uri.clone(), ended.clone().drop_guard());
        tokio::spawn(ended.run_until_cancelled_owned(async move {
            while updates.next().await.is_some() {
                together(&mut updates).await;
                let update = ResourceUpdatedNotificationParam::new(uri.clone());
                if peer.notify_resource_updated(update).await.is_err() {
                    return;
                }
            }
        }));
    }

    pub(super) fn delete(&self, uri: &str) {
        self.table().remove(uri);
    }
}

/// Takes what comes within a moment: a client that hears of it reads the resource once.
async fn together(updates: &mut Updates) {
    let more = async { while updates.next().await.is_some() {} };
    // The end of a stream is met again by who asks it next.
    let _ = tokio::time::timeout(TOGETHER, more).await;
}

/// Tells a modern stream of the updates of all its resources; never ends by itself.
pub(super) async fn to_stream(updates: Vec<(String, Updates)>, sink: &SubscriptionSink) {
    let named = updates.into_iter().map(|(uri, updates)| {
        let coalesced = stream::unfold(updates.fuse().boxed(), |mut updates| async move {
            updates.next().await?;
            together(&mut updates).await;
            Some(((), updates))
        });
        coalesced.map(move |()| uri.clone()).boxed()
    });
    let mut all = stream::select_all(named);
    while let Some(uri) = all.next().await {
        if let Err(error) = sink.notify_resource_updated(uri).await {
            tracing::debug!(%error, "an update of a resource did not reach the client");
            return;
        }
    }
    std::future::pending().await
}
