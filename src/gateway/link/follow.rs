//! Has the server at the other end tell of the resources that clients follow.

use std::{collections::BTreeSet, sync::Arc, sync::Weak, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use rmcp::model::SubscriptionFilter;
use tokio::sync::{mpsc, oneshot};

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
async fn modern(listener: Listener, followed: &Followed) {
    let mut wanted = followed.wanted();
    let mut heard: Option<BoxFuture<'_, ()>> = None;
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
        let (agreed, mut agreement) = oneshot::channel();
        let mut next = hear(&listener, now.clone(), followed, agreed).boxed();
        let is_agreed = loop {
            tokio::select! {
                biased;
                () = &mut next => break false,
                _ = &mut agreement => break true,
                () = go_on(&mut heard) => (heard, has_missed) = (None, true),
            }
        };
        if !is_agreed {
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        heard = Some(next);
        if std::mem::take(&mut has_missed) {
            now.iter().for_each(|uri| followed.tell(uri.clone()));
        }
        tokio::select! {
            () = go_on(&mut heard) => {
                (heard, has_missed) = (None, true);
                tokio::time::sleep(AGAIN).await;
            }
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// Passes on what is said, until the subscription is over.
async fn hear(listener: &Listener, uris: BTreeSet<String>, followed: &Followed, agreed: oneshot::Sender<()>) {
    let filter = SubscriptionFilter::builder().resource_subscriptions(uris).build();
    let mut agreed = Some(agreed);
    let mut heard = |heard: Heard| match heard {
        Heard::Updated(uri) => followed.tell(uri),
        // Whoever waited for it may be gone.
        Heard::Agreed => drop(agreed.take().map(|agreed| agreed.send(()))),
        Heard::Changed => {}
    };
    let over = listener.listen(filter, &mut heard).await;
    tracing::debug!(?over, "a server does not tell of its resources any more");
}

/// Waits for ever where nothing is heard.
async fn go_on(heard: &mut Option<BoxFuture<'_, ()>>) {
    match heard {
        Some(heard) => heard.await,
        None => std::future::pending().await,
    }
}
