//! The task of one downstream: brings and keeps its connections, reads its lists, tells the board. Nothing a
//! downstream does, or leaves undone, holds up another one's task.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};

use super::{
    board::Board,
    door::{Door, Links},
    downstream::{ServerName, Target},
    link::{self, Dialer, Link, News, Place, Told},
    offer::Offer,
    registry::Reach,
    slots::{self, Slots},
    wire::Era,
};

/// Changes of lists are gathered this long: servers often announce many at once.
const GATHER: Duration = Duration::from_millis(50);
/// How often a connection that does not tell its end is asked whether it lives.
const HEALTH_EVERY: Duration = Duration::from_secs(20);
/// How long it has to say so.
const ALIVE_WITHIN: Duration = Duration::from_secs(5);
/// How long a handshake keeps others waiting for their turn: one that takes longer waits for its server, and
/// costs nothing meanwhile.
const TURN: Duration = Duration::from_millis(500);
/// News that may wait.
const NEWS: usize = 64;

/// What runners share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) board: Arc<Board>,
    pub(super) dialer: Arc<Dialer>,
    /// Handshakes at once, of all downstreams.
    pub(super) handshakes: Arc<Semaphore>,
}

pub(super) struct Runner {
    name: ServerName,
    door: Arc<Door>,
    shared: Shared,
    slots: Slots<Place, Arc<Link>>,
    teller: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    /// What the last handshake spoke: tried first next time.
    known: Option<Era>,
    opening: FuturesUnordered<BoxFuture<'static, (Place, Result<Link, String>)>>,
    listing: FuturesUnordered<BoxFuture<'static, (u64, Result<Offer, String>)>>,
    checking: FuturesUnordered<BoxFuture<'static, (u64, bool)>>,
    /// When the lists are to be read.
    list_at: Option<Instant>,
    list_failures: u32,
    /// Its lists were read since the last connection was opened.
    listed: bool,
    /// The last failure, in words.
    failure: Option<String>,
}

impl Runner {
    pub(super) fn new(name: ServerName, door: Arc<Door>, shared: Shared) -> Self {
        let (teller, told) = mpsc::channel(NEWS);
        Self {
            name,
            door,
            shared,
            slots: Slots::new(),
            teller,
            told,
            known: None,
            opening: FuturesUnordered::new(),
            listing: FuturesUnordered::new(),
            checking: FuturesUnordered::new(),
            list_at: None,
            list_failures: 0,
            listed: false,
            failure: None,
        }
    }

    /// Runs until the door is stopped.
    pub(super) async fn run(mut self) {
        let (door, stop) = (self.door.clone(), self.door.stop.clone());
        let (mut wanted, mut resting) = (door.wanted.subscribe(), door.resting.subscribe());
        let mut health = tokio::time::interval(HEALTH_EVERY);
        health.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.rewant();
        loop {
            self.start_opening();
            self.start_listing();
            self.tell();
            let wake = self.wake();
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = wanted.changed() => self.rewant(),
                Ok(()) = resting.changed() => self.rewant(),
                Some(told) = self.told.recv() => self.heard(told),
                Some((place, outcome)) = self.opening.next() => self.opened(&place, outcome),
                Some((link, outcome)) = self.listing.next() => self.listed(link, outcome),
                Some((link, alive)) = self.checking.next() => {
                    if !alive {
                        self.ended(link, "it no longer answers".to_owned());
                    }
                }
                () = door.more.notified() => self.slots.want_more(),
                _ = health.tick() => self.check(None),
                () = sleep_until(wake), if wake.is_some() => {}
            }
        }
        for link in self.slots.links() {
            link.end("pilothouse no longer serves it");
        }
        let obstacle = "pilothouse no longer serves it".to_owned();
        self.door.links.send_replace(Links { obstacle, ..Links::default() });
    }

    /// The wanted places may have changed.
    fn rewant(&mut self) {
        let wanted = self.door.wanted.borrow().clone();
        let places = match link::places(&wanted) {
            Ok(_) if *self.door.resting.borrow() => Vec::new(),
            Ok(places) => places,
            Err(why) => {
                self.failure = Some(why);
                Vec::new()
            }
        };
        if !matches!(wanted.target, Target::Endpoints { .. })
            && self.slots.links().all(|link| !places.contains(&link.place))
        {
            self.known = None;
        }
        if places.is_empty() && matches!(wanted.target, Target::Endpoints { .. }) {
            // Nothing is tried any more: what was wrong is over.
            self.failure = None;
        }
        for link in self.slots.change(places) {
            self.leave(link, wanted.terms.drain);
        }
    }

    /// Calls in flight and sessions that have their seat there hold the link and end in peace, but not for ever.
    fn leave(&self, link: Arc<Link>, within: Duration) {
        let (link, stop) = (Arc::downgrade(&link), self.door.stop.clone());
        self.shared.dialer.keepers.spawn(async move {
            let why = tokio::select! {
                () = stop.cancelled() => "pilothouse no longer serves it",
                () = tokio::time::sleep(within) => "its pod leaves and had long enough to finish",
            };
            if let Some(link) = link.upgrade() {
                link.end(why);
            }
        });
    }

    fn start_opening(&mut self) {
        while let Some(place) = self.slots.next(Instant::now()) {
            let (name, known, teller) = (self.name.clone(), self.known, self.teller.clone());
            let Shared { board: _, dialer, handshakes } = self.shared.clone();
            let open = async move {
                let turn = handshakes.acquire_owned().await;
                let outcome = {
                    let opening = link::open(&name, &place, known, &dialer, teller);
                    tokio::pin!(opening);
                    tokio::select! {
                        outcome = &mut opening => outcome,
                        () = tokio::time::sleep(TURN) => {
                            drop(turn);
                            opening.await
                        }
                    }
                };
                (place, outcome)
            };
            self.opening.push(open.boxed());
        }
    }

    fn opened(&mut self, place: &Place, outcome: Result<Link, String>) {
        match outcome {
            Ok(link) => {
                let (info, era, now) = (link.info.clone(), link.spoken.era, Instant::now());
                tracing::info!(server = %self.name, version = info.protocol_version, "connected");
                if self.slots.opened(place, Arc::new(link), now).is_err() {
                    return;
                }
                self.known = Some(era);
                self.failure = None;
                self.listed = false;
                self.list_at = Some(now);
                self.shared.board.change(|registry| registry.greeted(&self.name, info));
            }
            Err(why) => {
                // The first failure and every new one; not the same one every 30 s.
                if self.failure.as_ref() != Some(&why) {
                    tracing::warn!(server = %self.name, reason = why, "not connected; tried again");
                }
                self.failure = Some(why);
                if matches!(place, Place::Process(_)) {
                    self.known = None;
                }
                self.slots.failed(place, Instant::now(), chance());
            }
        }
    }

    fn heard(&mut self, Told { link, news }: Told) {
        match news {
            News::Changed => {
                let gathered = Instant::now() + GATHER;
                self.list_at = Some(self.list_at.map_or(gathered, |at| at.min(gathered)));
            }
            News::Doubtful => self.check(Some(link)),
            News::Ended(why) => self.ended(link, why),
        }
    }

    fn ended(&mut self, id: u64, why: String) {
        if let Some(link) = self.slots.ended(|link| link.id == id, Instant::now(), chance()) {
            tracing::warn!(server = %self.name, reason = why, "connection lost");
            link.retire(&why);
            self.failure = Some(why);
        }
    }

    /// Asks idle connections whether they live; a busy one may be too busy to say so.
    fn check(&self, only: Option<u64>) {
        for link in self.slots.links() {
            let asked = only.map_or_else(|| !link.tells_its_end(), |id| link.id == id);
            if asked && link.busy() == 0 {
                let link = link.clone();
                self.checking.push(async move { (link.id, link.is_alive(ALIVE_WITHIN).await) }.boxed());
            }
        }
    }

    fn start_listing(&mut self) {
        let due = self.list_at.is_some_and(|at| at <= Instant::now());
        if !due || !self.listing.is_empty() {
            return;
        }
        let Some(link) = self.slots.links().find(|link| !link.is_dead()).cloned() else { return };
        self.list_at = None;
        self.listing.push(async move { (link.id, link.list().await) }.boxed());
    }

    fn listed(&mut self, link: u64, outcome: Result<Offer, String>) {
        if self.slots.links().all(|open| open.id != link) {
            // The connection was lost meanwhile; the next one lists again.
            return;
        }
        match outcome {
            Ok(offer) => {
                self.list_failures = 0;
                self.listed = true;
                self.failure = None;
                self.shared.board.change(|registry| registry.offered(&self.name, offer));
            }
            Err(why) => {
                tracing::warn!(server = %self.name, link, reason = why, "its lists cannot be read; tried again");
                let rest = slots::rest(self.list_failures, chance());
                self.list_failures = self.list_failures.saturating_add(1);
                self.failure = Some(why);
                self.listed = false;
                self.list_at = Some(Instant::now() + rest);
            }
        }
    }

    /// Tells the door and the board what has changed.
    fn tell(&self) {
        let open: Vec<_> = self.slots.links().cloned().collect();
        let reach = match &self.failure {
            Some(reason) => Reach::Unreachable { reason: reason.clone() },
            None if self.slots.is_empty() => Reach::Empty,
            None if !open.is_empty() && self.listed => Reach::Ready,
            None => Reach::Connecting,
        };
        let obstacle = match &self.failure {
            Some(why) => why.clone(),
            None if self.slots.is_empty() => "none of its pods is ready".to_owned(),
            None => "it is still connecting".to_owned(),
        };
        let links = Links { open, spare: self.slots.has_spare(), opening: self.slots.is_opening(), obstacle };
        self.door.links.send_if_modified(|before| {
            let changed = !before.is_same(&links);
            if changed {
                *before = links;
            }
            changed
        });
        self.shared.board.reached(&self.name, reach);
    }

    fn wake(&self) -> Option<Instant> {
        let list_at = self.list_at.filter(|_| self.listing.is_empty() && self.slots.links().next().is_some());
        [self.slots.wake(), list_at].into_iter().flatten().min()
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Between 0 and 1, from the seed that the standard library draws for its hash maps.
fn chance() -> f64 {
    let drawn = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(drawn >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
