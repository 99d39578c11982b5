//! Which connection a call takes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Door, Refusal};
use crate::gateway::{
    Request,
    client::Client,
    downstream::{ServerName, Target},
    link::{Link, Place},
    private::Opener,
    seats::Seats,
    together::{self, Routes},
    wire::Era,
};

/// How long a call waits for a connection that is being opened.
const CONNECTION_WITHIN: Duration = Duration::from_secs(5);

impl Door {
    /// Whether what is asked over this connection is kept there between calls, and could be asked elsewhere too.
    fn keeps(&self, link: &Link) -> bool {
        let target = &self.wanted.borrow().target;
        let has_choice = matches!(target, Target::Endpoints { .. } | Target::Members(_));
        has_choice && !self.is_stateless(&link.place.server)
    }

    /// One that has left keeps its sessions for as long as any that leaves.
    fn is_stateless(&self, server: &ServerName) -> bool {
        let wanted = self.wanted.borrow();
        wanted.terms.stateless || wanted.part(server).is_some_and(|part| part.stateless)
    }

    /// Whether the session that has its seat there can stay for what is asked.
    fn suits(&self, link: &Link, era: Era, routes: &Routes, asked: Option<&together::Asked>) -> bool {
        let server = &link.place.server;
        // A modern client does not know of its session, and loses no call when it moves on at once.
        let moves_on = era == Era::Modern && link.is_leaving();
        let stays =
            if link.is_private() { !moves_on && !self.is_stateless(server) } else { self.keeps(link) };
        stays && (routes.admits(asked, server) || self.wanted.borrow().part(server).is_none())
    }

    /// The connection of the client that asks; one of its own, where the server keeps something for it or may ask it.
    pub(super) async fn link(
        &self,
        request: &Request,
        asked: Option<&together::Asked>,
    ) -> Result<Arc<Link>, Refusal> {
        let (routes, may_keep) = {
            let links = self.links.borrow();
            // Of one that is parked it is not known: it is opened first.
            (links.routes.clone(), links.parked || links.open.iter().any(|link| link.may_keep(true)))
        };
        let opener = self.opener.as_ref().filter(|_| may_keep || request.era == Era::Legacy);
        let own = opener.and_then(|opener| Some((opener, opener.seats(request)?)));
        let seats = match &own {
            Some((_, seats)) => Some(seats.as_ref()),
            None => request.seats.as_deref(),
        };
        let suits = |link: &Link| self.suits(link, request.era, &routes, asked);
        let link = match seats.and_then(|seats| seats.link(&request.server, suits)) {
            Some(link) => link,
            None => self.shared(seats, request, asked).await?,
        };
        let Some((opener, seats)) = &own else { return Ok(link) };
        let link = match seats.client() {
            Some(client) if !link.is_private() && self.is_private(&link, client, seats) => {
                self.private(opener, seats, client, (&link.place, &request.server)).await?
            }
            Some(_) | None => link,
        };
        if let Some(level) = seats.level().filter(|_| link.is_private()) {
            link.tune(&level).await;
        }
        Ok(link)
    }

    /// Whether this client needs a connection of its own to that place.
    fn is_private(&self, link: &Link, client: &Client, seats: &Seats) -> bool {
        // What a server logs on a common connection cannot be told apart by whom it is for.
        let is_special = client.is_special() || seats.level().is_some() && link.offers.logging;
        if self.is_stateless(&link.place.server) || !link.may_keep(is_special) {
            return false;
        }
        if self.privates.is_full(client) {
            tracing::warn!(server = %link.place.server, "too many clients have sessions with it: one more shares the common one and cannot be asked");
            return false;
        }
        true
    }

    async fn private(
        &self,
        opener: &Opener,
        seats: &Seats,
        client: &Client,
        (place, server): (&Place, &ServerName),
    ) -> Result<Arc<Link>, Refusal> {
        let opening = seats.opening(server);
        let _one_at_once = opening.lock().await;
        let is_it = |link: &Link| link.is_private() && link.place == *place;
        if let Some(link) = seats.link(server, is_it) {
            return Ok(link);
        }
        let opened = opener.open(&place.server, place, client).await;
        let link = opened.map_err(|obstacle| {
            // One that answers others there may only have no room for one more.
            if !self.links.borrow().open.iter().any(|link| link.place == *place && !link.is_dead()) {
                self.breakers.failed(&place.server, &obstacle, Instant::now());
            }
            Refusal::NoConnection { obstacle }
        })?;
        self.privates.push(&link, client);
        let (stop, closed, known) = (self.stop.clone(), link.closed(), Arc::downgrade(&link));
        opener.dialer.keepers.spawn(async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = stop.cancelled() => {
                    if let Some(link) = known.upgrade() {
                        link.end("pilothouse no longer serves it");
                    }
                }
            }
        });
        seats.take(server, link.clone(), &self.activity);
        Ok(link)
    }

    /// The least busy of the connections that clients share; waits a moment for one that is being opened,
    /// or that was there a moment ago.
    async fn shared(
        &self,
        seats: Option<&Seats>,
        request: &Request,
        asked: Option<&together::Asked>,
    ) -> Result<Arc<Link>, Refusal> {
        let mut links = self.links.subscribe();
        let patience = tokio::time::sleep(CONNECTION_WITHIN);
        tokio::pin!(patience);
        loop {
            let obstacle = {
                let links = links.borrow_and_update();
                let resting = self.resting.borrow();
                let is_awake = |link: &&Arc<Link>| !resting.contains(&link.place.server);
                let now = Instant::now();
                let admits = |link: &&Arc<Link>| self.breakers.admits(&link.place.server, now);
                let usable: Vec<_> = links.usable(asked).filter(is_awake).collect();
                if !usable.is_empty() && !usable.iter().any(admits) {
                    return Err(self.broken());
                }
                if let Some(link) =
                    usable.into_iter().filter(admits).min_by_key(|link| (link.busy(), link.seated()))
                {
                    let stays = |seats: &&Seats| {
                        let is_private =
                            seats.client().is_some_and(|client| self.is_private(link, client, seats));
                        !is_private && request.era == Era::Legacy && self.keeps(link)
                    };
                    let seats = seats.filter(stays);
                    if links.spare && (link.busy() > 0 || seats.is_some() && link.seated() > 0) {
                        self.more.notify_one();
                    }
                    if let Some(seats) = seats {
                        seats.take(&request.server, link.clone(), &self.activity);
                    }
                    return Ok(link.clone());
                }
                // A dead one that is still listed: the runner has not heard of its end yet.
                let is_there = |link: &Arc<Link>| links.routes.admits(asked, &link.place.server);
                if links.parked {
                    self.more.notify_one();
                }
                let may_be_back = || self.lately.may_be_back() && !self.may_wake(asked);
                if !links.opening && !links.parked && !links.open.iter().any(is_there) && !may_be_back() {
                    return Err(Refusal::NoConnection { obstacle: links.obstacle.clone() });
                }
                links.obstacle.clone()
            };
            tokio::select! {
                changed = links.changed() => {
                    if changed.is_err() {
                        return Err(Refusal::NoConnection { obstacle });
                    }
                }
                () = &mut patience => {
                    self.lately.is_gone();
                    return Err(Refusal::NoConnection { obstacle });
                }
            }
        }
    }
}
