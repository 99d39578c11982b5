//! Has the server at the other end tell of the resources that clients follow.

use std::{collections::BTreeSet, sync::Arc, sync::Weak, time::Duration};

use rmcp::{
    model::{ServerNotification, SubscriptionFilter},
    service::{Peer, RoleClient},
};
use tokio::sync::mpsc;

use super::{Asked, Link};
use crate::gateway::{
    updates::Followed,
    wire::{Era, text::raw},
};

/// For a server to agree.
const AGREED_WITHIN: Duration = Duration::from_secs(10);
/// Before a subscription that broke is opened again.
const AGAIN: Duration = Duration::from_secs(2);

/// As long as the connection is open; does not keep it open.
pub(in crate::gateway) fn follow(link: &Arc<Link>, followed: Arc<Followed>) {
    if !link.offers.updates {
        return;
    }
    let closed = link.closed();
    let (peer, link) = (link.peer.clone(), Arc::downgrade(link));
    let following = async move {
        match peer {
            Some(peer) => modern(peer, &followed).await,
            None => legacy(link, &followed).await,
        }
    };
    tokio::spawn(closed.run_until_cancelled_owned(following));
}

async fn legacy(link: Weak<Link>, followed: &Followed) {
    let mut wanted = followed.wanted();
    let mut told = BTreeSet::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        let news = now.difference(&told).map(|uri| ("resources/subscribe", uri));
        let over = told.difference(&now).map(|uri| ("resources/unsubscribe", uri));
        for (method, uri) in news.chain(over) {
            let Some(link) = link.upgrade() else { return };
            let params = raw(&serde_json::json!({ "uri": uri }));
            let (up, _nobody) = mpsc::channel(1);
            let asked = Asked { method, params: Some(&params), era: Era::Legacy };
            let agreed = tokio::time::timeout(AGREED_WITHIN, link.call(asked, &up)).await;
            if !matches!(agreed, Ok(Ok(Ok(_)))) {
                tracing::info!(server = %link.place.server, uri, method, "it does not agree: its clients are not told");
            }
        }
        told = now;
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

async fn modern(peer: Peer<RoleClient>, followed: &Followed) {
    let mut wanted = followed.wanted();
    loop {
        let now = wanted.borrow_and_update().clone();
        if now.is_empty() {
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        let listening = async {
            let filter = SubscriptionFilter::builder().resource_subscriptions(now).build();
            match peer.listen(filter).await {
                Ok(mut subscription) => {
                    while let Ok(Some(said)) = subscription.next().await {
                        if let ServerNotification::ResourceUpdatedNotification(updated) = said {
                            followed.tell(updated.params.uri);
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "a server does not tell of its resources"),
            }
            tokio::time::sleep(AGAIN).await;
        };
        tokio::select! {
            () = listening => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}
