//! Tells whoever subscribed to a request that its phase or its pull request is another, as long as they may see it.

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{Room, id, life::phase, status, words};
use crate::{
    api::{
        ChangeRequest,
        change_request::{ChangePhase, PullRequestRef},
    },
    caller::Caller,
};

/// What a subscriber is told the change of.
type Standing = (ChangePhase, Option<PullRequestRef>);

struct Subscription {
    room: Arc<Room>,
    caller: Caller,
    id: String,
    /// Nothing once the request is gone.
    told: Option<Standing>,
    news: BoxStream<'static, ()>,
}

impl Room {
    /// # Errors
    /// One sentence, when there is none of that id that the caller may see.
    pub(in crate::changes) async fn updates(
        self: Arc<Self>,
        caller: Caller,
        asked: &str,
    ) -> Result<BoxStream<'static, ()>, String> {
        let found = self.shelf.get(asked).await.map_err(|error| error.to_string())?;
        let Some(request) = self.seen(&caller, found.into_iter().collect()).await?.pop() else {
            return Err(words::sentence(&self.unknown(&caller, asked).await));
        };
        let news = self.shelf.news(&request);
        let (id, told) = (id(&request).to_owned(), Some(standing(&request)));
        let subscription = Subscription { room: self, caller, id, told, news };
        let updates = stream::unfold(subscription, |mut subscription| async {
            subscription.changed().await.then_some(((), subscription))
        });
        Ok(updates.boxed())
    }
}

impl Subscription {
    /// Until there is something to tell; false when nothing more may be told.
    async fn changed(&mut self) -> bool {
        while self.told.is_some() && self.news.next().await.is_some() {
            let found = match self.room.shelf.get(&self.id).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(%error, change = self.id, "a subscription cannot read its change");
                    continue;
                }
            };
            let now = found.as_ref().map(standing);
            if now == self.told {
                continue;
            }
            match self.room.seen(&self.caller, found.into_iter().collect()).await {
                // It is gone, which is all that is told of it.
                Ok(seen) if seen.is_empty() && now.is_some() => return false,
                Ok(_) => {
                    self.told = now;
                    return true;
                }
                Err(why) => tracing::debug!(why, change = self.id, "a subscription is not told for now"),
            }
        }
        false
    }
}

fn standing(request: &ChangeRequest) -> Standing {
    let status = status(request);
    (phase(&status), status.pull_request)
}
