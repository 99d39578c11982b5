//! The task of one downstream: brings and keeps its connections, reads its lists, tells the board. Nothing a
//! downstream does, or leaves undone, holds up another one's task.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};

use super::{
    board::Board,
    door::{Door, Links},
    downstream::{ServerName, Target},
    handshakes::Handshakes,
    link::{self, At, Dialer, Hearing, Line, Link, News, Place, Told},
    members::Part,
    offer::Offer,
    pulse::pulse,
    registry::{MemberStanding, Reach},
    remembered::Memory,
    settings::Settings,
    slots::{self, Slots},
    standing::{self, Standing},
    together::{Routes, together},
    wire::Era,
};

/// Changes of lists are gathered this long: servers often announce many at once.
const GATHER: Duration = Duration::from_millis(50);
/// How long a connection has to say that it lives.
const ALIVE_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether somebody still uses a connection, at most.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What runners share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) board: Arc<Board>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) handshakes: Handshakes,
    pub(super) settings: Arc<Settings>,
    pub(super) memory: Option<Arc<Memory>>,
}

impl Shared {
    /// Remembers what is offered now; the disk is waited for elsewhere.
    pub(super) fn remember(&self, name: &ServerName) {
        let Some(memory) = self.memory.clone() else { return };
        let (board, name) = (self.board.clone(), name.clone());
        self.dialer.keepers.spawn_blocking(move || {
            memory.keep(&name, || board.look(|registry| registry.page(&name)));
        });
    }
}

pub(super) struct Runner {
    name: ServerName,
    door: Arc<Door>,
    shared: Shared,
    slots: Slots<Place, Arc<Link>>,
    line: Line,
    hearing: Hearing,
    /// The MCPServers behind it: itself, or the members of the pool that it is.
    servers: BTreeMap<ServerName, Box<Standing>>,
    /// Its servers are the members of a pool.
    is_pool: bool,
    routes: Arc<Routes>,
    opening: FuturesUnordered<BoxFuture<'static, (Place, Result<Link, String>)>>,
    listing: FuturesUnordered<BoxFuture<'static, Listed>>,
    checking: FuturesUnordered<BoxFuture<'static, (u64, bool)>>,
}

/// What came of reading the lists of a server over a connection.
struct Listed {
    server: ServerName,
    link: u64,
    outcome: Result<Offer, String>,
}

impl Runner {
    pub(super) fn new(name: ServerName, door: Arc<Door>, shared: Shared) -> Self {
        let (line, hearing) = link::line();
        Self {
            name,
            door,
            shared,
            slots: Slots::new(),
            line,
            hearing,
            servers: BTreeMap::new(),
            is_pool: false,
            routes: Arc::default(),
            opening: FuturesUnordered::new(),
            listing: FuturesUnordered::new(),
            checking: FuturesUnordered::new(),
        }
    }

    /// Runs until the door is stopped.
    pub(super) async fn run(mut self) {
        let (door, stop) = (self.door.clone(), self.door.stop.clone());
        let (mut wanted, mut resting) = (door.wanted.subscribe(), door.resting.subscribe());
        let mut health = pulse();
        self.rewant();
        loop {
            self.start_opening();
            self.start_listing();
            self.park();
            self.tell();
            let wake = self.wake();
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = wanted.changed() => self.rewant(),
                Ok(()) = resting.changed() => self.rewant(),
                (told, has_missed) = self.hearing.next() => {
                    self.heard(told);
                    if has_missed {
                        self.anything_changed();
                    }
                }
                Some((place, outcome)) = self.opening.next() => self.opened(&place, outcome),
                Some(listed) = self.listing.next() => self.listed(listed),
                Some((link, alive)) = self.checking.next() => {
                    if !alive {
                        self.ended(link, "it no longer answers".to_owned());
                    }
                }
                () = door.more.notified() => {
                    self.slots.rouse();
                    self.slots.want_more();
                }
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
        let resting = self.door.resting.borrow().clone();
        let parts = wanted.parts();
        let names: BTreeSet<&ServerName> = parts.iter().map(|(server, _)| *server).collect();
        let before = self.servers.len();
        self.servers.retain(|server, _| names.contains(server));
        let has_lost_some = self.servers.len() < before;
        self.is_pool = matches!(wanted.target, Target::Members(_));
        let mut places = Vec::new();
        for (server, part) in &parts {
            let mut found = self.places(server, part.as_ref().copied().map_err(|why| why.to_string()));
            if resting.contains(*server) {
                found.clear();
            }
            if let Some(standing) = self.servers.get_mut(*server) {
                standing.places = found.len();
                if found.is_empty() && part.is_ok_and(|part| part.has_pods()) {
                    // Nothing is tried any more: what was wrong is over.
                    standing.failure = None;
                }
            }
            places.append(&mut found);
        }
        let leaving = self.door.privates.leaving(&places);
        for link in self.slots.change(places).into_iter().chain(leaving) {
            let drain = wanted.part(&link.place.server).map_or(wanted.terms.drain, |part| part.drain);
            self.leave(link, drain);
        }
        if has_lost_some && self.is_pool {
            self.offer_together();
        }
    }

    /// Notes how an MCPServer is declared, and answers its places.
    fn places(&mut self, server: &ServerName, part: Result<Part<'_>, String>) -> Vec<Place> {
        let found = part.and_then(|part| Ok((part, link::places(&part)?)));
        let standing = self.servers.entry(server.clone()).or_default();
        match found {
            Ok((part, places)) => {
                standing.refused = None;
                let mut own = self.slots.links().filter(|link| link.place.server == *server);
                if !part.has_pods() && own.all(|link| !places.contains(&link.place)) {
                    standing.known = None;
                }
                places
            }
            Err(why) => {
                standing.refused = Some(why);
                Vec::new()
            }
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
            let known = self.servers.get(&place.server).and_then(|standing| standing.known);
            let (name, line) = (place.server.clone(), self.line.clone());
            let Shared { board: _, dialer, handshakes, settings: _, memory: _ } = self.shared.clone();
            let open = async move {
                let opening = link::open(&name, &place, known, &dialer, line, None);
                let outcome = handshakes.in_turn(opening).await;
                (place, outcome)
            };
            self.opening.push(open.boxed());
        }
    }

    fn opened(&mut self, place: &Place, outcome: Result<Link, String>) {
        let server = &place.server;
        match outcome {
            Ok(link) => {
                let (info, era, now) = (link.info.clone(), link.spoken.era, Instant::now());
                let declared = link.declared.clone();
                tracing::info!(%server, version = info.protocol_version, "connected");
                // Only modern servers want arguments in headers.
                if era == Era::Modern {
                    let known = self.shared.board.look(|registry| registry.definitions(server));
                    link.remember_schemas(known.iter().map(|tool| (tool.name.as_str(), tool.raw.get())));
                }
                let link = Arc::new(link);
                link::follow(&link, self.door.followed.clone());
                if self.slots.opened(place, link, now).is_err() {
                    return;
                }
                if let Some(standing) = self.servers.get_mut(server) {
                    standing.known = Some(era);
                    standing.failure = None;
                    // One that was only parked is what it was.
                    standing.listed &= std::mem::replace(&mut standing.parked, false);
                    standing.list_at = Some(now);
                    standing.info = Some(info.clone());
                }
                self.door.breakers.renewed(server, now);
                self.shared.board.change(|registry| {
                    registry.declares(&self.name, declared);
                    if !self.is_pool {
                        registry.greeted(&self.name, info);
                    }
                });
            }
            Err(why) => {
                if !self.slots.failed(place, Instant::now(), chance()) {
                    return;
                }
                if let Some(standing) = self.servers.get_mut(server) {
                    // The first failure and every new one; not the same one every 30 s.
                    if standing.failure.as_ref() != Some(&why) {
                        tracing::warn!(%server, reason = why, "not connected; tried again");
                    }
                    standing.failure = Some(why);
                    standing.parked = false;
                    if matches!(place.at, At::Process(_)) {
                        standing.known = None;
                    }
                }
            }
        }
    }

    fn heard(&mut self, Told { link, news }: Told) {
        match news {
            News::Changed => {
                let by =
                    self.slots.links().find(|open| open.id == link).map(|open| open.place.server.clone());
                if let Some(standing) = by.and_then(|server| self.servers.get_mut(&server)) {
                    standing.list_by(Instant::now() + GATHER);
                }
            }
            News::Updated(uri) => self.door.followed.tell(uri),
            News::Doubtful => self.check(Some(link)),
            News::Ended(why) => self.ended(link, why),
        }
    }

    fn ended(&mut self, id: u64, why: String) {
        if let Some(link) = self.slots.ended(|link| link.id == id, Instant::now(), chance()) {
            let server = &link.place.server;
            tracing::warn!(%server, reason = why, "connection lost");
            link.retire(&why);
            if let Some(standing) = self.servers.get_mut(server) {
                standing.failure = Some(why);
            }
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

    /// Every list, and every resource that clients follow.
    fn anything_changed(&mut self) {
        for standing in self.servers.values_mut() {
            standing.list_by(Instant::now() + GATHER);
        }
        self.door.followed.tell_all();
    }

    /// The lists of one server are read one after the other: when they may have changed, and when they held for as long
    /// as they do, since not every server tells.
    fn start_listing(&mut self) {
        let now = Instant::now();
        for (server, standing) in &mut self.servers {
            if !standing.is_to_be_listed(now) || standing.listing {
                continue;
            }
            let is_own = |link: &&Arc<Link>| link.place.server == *server && !link.is_dead();
            let Some(link) = self.slots.links().find(is_own).cloned() else { continue };
            (standing.list_at, standing.hold_until, standing.listing) = (None, None, true);
            let server = server.clone();
            let list = async move { Listed { server, link: link.id, outcome: link.list().await } };
            self.listing.push(list.boxed());
        }
    }

    fn listed(&mut self, Listed { server, link, outcome }: Listed) {
        let is_lost = self.slots.links().all(|open| open.id != link);
        let Some(standing) = self.servers.get_mut(&server) else { return };
        standing.listing = false;
        if is_lost {
            // Another connection lists again, one that is open or the next.
            standing.list_at = Some(Instant::now());
            return;
        }
        match outcome {
            Ok(offer) => {
                standing.list_failures = 0;
                standing.listed = true;
                standing.failure = None;
                standing.ttl = offer.ttl;
                standing.hold_until = Some(Instant::now() + self.shared.settings.lists_hold(offer.ttl));
                for link in self.slots.links().filter(|link| link.place.server == server) {
                    link.remember_schemas(offer.tools());
                }
                if self.is_pool {
                    standing.offer = Some(offer);
                    self.offer_together();
                } else {
                    self.shared.board.change(|registry| registry.offered(&self.name, offer));
                }
                self.shared.remember(&self.name);
            }
            Err(why) => {
                tracing::warn!(%server, link, reason = why, "its lists cannot be read; tried again");
                let rest = slots::rest(standing.list_failures, chance());
                standing.list_failures = standing.list_failures.saturating_add(1);
                standing.failure = Some(why);
                standing.listed = false;
                standing.list_at = Some(Instant::now() + rest);
            }
        }
    }

    /// What one member offered stays while it is a member, also while it cannot be reached.
    fn offer_together(&mut self) {
        let offers =
            self.servers.iter().filter_map(|(server, standing)| Some((server, standing.offer.as_ref()?)));
        let all = together(offers);
        self.routes = Arc::new(all.routes.clone());
        let routes = self.routes.clone();
        self.shared.board.change(|registry| registry.offered_together(&self.name, all, routes));
    }

    /// Closes connections that nobody has used for long; their lists are read again from time to time. Processes and
    /// the streams of HTTP+SSE stay: they cost more to bring back than to keep.
    fn park(&mut self) {
        // News of resources come over them.
        if !self.door.followed.is_empty() {
            return;
        }
        let idle_after = self.shared.settings.idle_after;
        for (server, standing) in &mut self.servers {
            let is_settled = standing.listed && !standing.listing && standing.list_at.is_none();
            let is_idle = || self.door.idle_for(server).is_some_and(|idle| idle >= idle_after);
            if !is_settled || !is_idle() {
                continue;
            }
            let is_its = |link: &&Arc<Link>| {
                link.place.server == *server && matches!(link.place.at, At::Http { sse: false, .. })
            };
            let links: Vec<_> = self.slots.links().filter(is_its).cloned().collect();
            // Those that fall idle together need not be listed together.
            let hold = self.shared.settings.lists_hold(standing.ttl).mul_f64(0.75 + chance() / 2.0);
            let until = Instant::now() + hold;
            for link in links {
                // No call comes in between.
                if self.door.if_unused(server, || link.end("nobody used it")) {
                    self.slots.park(|open| open.id == link.id, until);
                    standing.parked = true;
                    tracing::debug!(%server, "the connection was closed, since nobody used it");
                }
            }
        }
    }

    /// When to look again whether anybody uses the connections.
    fn look_again(&self) -> Option<Instant> {
        let idle_after = self.shared.settings.idle_after;
        let open = self.servers.keys().filter(|server| {
            self.slots.links().any(|link| {
                link.place.server == **server && matches!(link.place.at, At::Http { sse: false, .. })
            })
        });
        let left =
            open.map(|server| idle_after.saturating_sub(self.door.idle_for(server).unwrap_or_default()));
        // Not at once, should something keep it open.
        left.min().map(|left| Instant::now() + left.max(LOOK_EVERY))
    }

    /// Tells the door and the board what has changed.
    fn tell(&self) {
        let open: Vec<_> = self.slots.links().cloned().collect();
        let reaches: BTreeMap<&ServerName, Reach> = self
            .servers
            .iter()
            .map(|(server, standing)| {
                let open = open.iter().filter(|link| link.place.server == *server).count();
                (server, standing.reach(open))
            })
            .collect();
        let (reach, members) = if self.is_pool {
            let members = reaches.iter().map(|(server, reach)| {
                let info = self.servers.get(*server).and_then(|standing| standing.info.clone());
                ((*server).clone(), MemberStanding { reach: reach.clone(), info })
            });
            let all = standing::of_all(reaches.iter().map(|(server, reach)| (*server, reach)));
            (all, members.collect())
        } else {
            (reaches.into_values().next().unwrap_or(Reach::Empty), BTreeMap::new())
        };
        let obstacle = match &reach {
            Reach::Unreachable { reason } => reason.clone(),
            Reach::Empty => "none of its pods is ready".to_owned(),
            Reach::Connecting | Reach::Ready => "it is still connecting".to_owned(),
        };
        let (spare, opening, routes) = (self.slots.has_spare(), self.slots.is_opening(), self.routes.clone());
        let parked = self.slots.is_parked(|_| true);
        let links = Links { open, routes, spare, opening, parked, obstacle };
        self.door.links.send_if_modified(|before| {
            let changed = !before.is_same(&links);
            if changed {
                *before = links;
            }
            changed
        });
        self.shared.board.reached(&self.name, reach, members);
    }

    fn wake(&self) -> Option<Instant> {
        let is_linked = |server: &ServerName| self.slots.links().any(|link| link.place.server == *server);
        let lists = self
            .servers
            .iter()
            .filter(|(server, standing)| !standing.listing && is_linked(server))
            .filter_map(|(_, standing)| standing.listed_next());
        lists.chain(self.slots.wake()).chain(self.look_again()).min()
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
