//! Has the server at the other end tell of the resources that clients follow.

use std::{collections::BTreeSet, sync::Arc, sync::Weak, time::Duration};

use rmcp::{
    model::{ServerNotification, SubscriptionFilter},
    service::{Peer, RoleClient, Subscription},
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
    let mut is_first = true;
    loop {
        let now = wanted.borrow_and_update().clone();
        let mut again = false;
        for uri in told.difference(&now) {
            let Some(link) = link.upgrade() else { return };
            // What it tells all the same is heard by nobody.
            let _ = said(&link, "resources/unsubscribe", uri).await;
        }
        told.retain(|uri| now.contains(uri));
        for uri in now.difference(&told.clone()) {
            let Some(link) = link.upgrade() else { return };
            match said(&link, "resources/subscribe", uri).await {
                Agreed::Yes => drop(told.insert(uri.clone())),
                // It would say the same again.
                Agreed::No(why) => {
                    tracing::info!(server = %link.place.server, uri, why, "it does not agree: clients that follow are not told");
                    told.insert(uri.clone());
                }
                Agreed::Unheard => again = true,
            }
        }
        if std::mem::take(&mut is_first) {
            // Before this connection nobody listened for what they followed already.
            now.iter().for_each(|uri| followed.tell(uri.clone()));
        }
        let pause = async {
            match again {
                true => tokio::time::sleep(AGAIN).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = pause => {}
        }
    }
}

enum Agreed {
    Yes,
    No(String),
    /// No answer came.
    Unheard,
}

async fn said(link: &Link, method: &str, uri: &str) -> Agreed {
    let params = raw(&serde_json::json!({ "uri": uri }));
    let (up, _nobody) = mpsc::channel(1);
    let asked = Asked { method, params: Some(&params), era: Era::Legacy };
    match tokio::time::timeout(AGREED_WITHIN, link.call(asked, &up)).await {
        Ok(Ok(Ok(_))) => Agreed::Yes,
        Ok(Ok(Err(error))) => Agreed::No(error.message().unwrap_or_default()),
        Ok(Err(_)) | Err(_) => Agreed::Unheard,
    }
}

/// One subscription for all; where others are to be followed, the next one is agreed before the last one ends.
async fn modern(peer: Peer<RoleClient>, followed: &Followed) {
    let mut wanted = followed.wanted();
    let mut heard: Option<Subscription> = None;
    // What was followed before this connection may have changed meanwhile.
    let mut has_missed = true;
    loop {
        let now = wanted.borrow_and_update().clone();
        if now.is_empty() {
            (heard, has_missed) = (None, false);
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        let filter = SubscriptionFilter::builder().resource_subscriptions(now.clone()).build();
        let opening = peer.listen(filter);
        tokio::pin!(opening);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                is_open = hear(&mut heard, followed) => has_missed |= !is_open,
            }
        };
        match opened {
            Ok(subscription) => heard = Some(subscription),
            Err(error) => {
                tracing::debug!(%error, "a server does not tell of its resources");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        }
        if std::mem::take(&mut has_missed) {
            now.iter().for_each(|uri| followed.tell(uri.clone()));
        }
        loop {
            tokio::select! {
                is_open = hear(&mut heard, followed) => if !is_open {
                    has_missed = true;
                    tokio::time::sleep(AGAIN).await;
                    break;
                },
                changed = wanted.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
            }
        }
    }
}

/// The next thing that is said, passed on; whether there may be more. Waits for ever where nothing is heard.
async fn hear(heard: &mut Option<Subscription>, followed: &Followed) -> bool {
    let Some(subscription) = heard else { return std::future::pending().await };
    match subscription.next().await {
        Ok(Some(ServerNotification::ResourceUpdatedNotification(updated))) => {
            followed.tell(updated.params.uri)
        }
        Ok(Some(_)) => {}
        Ok(None) | Err(_) => {
            *heard = None;
            return false;
        }
    }
    true
}
