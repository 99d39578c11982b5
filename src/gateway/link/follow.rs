//! Has the server at the other end tell of the resources that clients follow.

use std::{collections::BTreeSet, sync::Arc, sync::Weak, time::Duration};

use rmcp::model::SubscriptionFilter;
use tokio::sync::mpsc;

use super::{
    Asked, Link,
    listener::{Heard, Listener},
};
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
    let (listener, link) = (link.listener.clone(), Arc::downgrade(link));
    let following = async move {
        match listener {
            Some(listener) => modern(listener, &followed).await,
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

async fn modern(listener: Listener, followed: &Followed) {
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
            let mut heard = |heard: Heard| {
                if let Heard::Updated(uri) = heard {
                    followed.tell(uri);
                }
            };
            let over = listener.listen(filter, &mut heard).await;
            tracing::debug!(?over, "a server does not tell of its resources any more");
            tokio::time::sleep(AGAIN).await;
        };
        tokio::select! {
            () = listening => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}
