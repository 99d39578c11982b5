//! The way of calls into one downstream: limits, the least busy connection, one more try when the first cannot
//! have reached the server. Shared by the gateway, which calls, and the runner, which brings the connections.

mod choice;
mod outcome;
mod refusal;
mod tasks;

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::BoxStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::refusal::{Refusal, refused, too_slow};
use super::{
    Request,
    activity::{Activity, Call, Parked},
    board::Board,
    breaker::{Breakers, Circuit},
    downstream::{Downstream, ServerName, Target},
    figures::{Counters, Counting, Latency},
    link::{self, Fault, Link},
    members::Part,
    private::{Opener, Privates},
    repair::{self, Lately},
    rounds::{Resumed, Rounds, Unanswered},
    together::{self, Routes},
    turns::{Crowded, Turn, Turns},
    updates::Followed,
    wire::{Raw, RpcError, Up, text::Fields},
};

/// Calls that one downstream runs at once, where its terms do not say.
pub const RUNNING: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// The connections of this moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    pub(super) open: Vec<Arc<Link>>,
    /// Which of the MCPServers answer what.
    pub(super) routes: Arc<Routes>,
    /// A further one could be had.
    pub(super) spare: bool,
    /// One is being opened.
    pub(super) opening: bool,
    /// One was closed since nobody used it, and is opened for whoever asks.
    pub(super) parked: bool,
    /// Why there is none, in words.
    pub(super) obstacle: String,
}

impl Links {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let Self { open, routes, spare, opening, parked, obstacle } = other;
        self.open.len() == open.len()
            && Arc::ptr_eq(&self.routes, routes)
            && self.open.iter().zip(open).all(|(a, b)| Arc::ptr_eq(a, b))
            && (self.spare, self.opening, self.parked) == (*spare, *opening, *parked)
            && self.obstacle == *obstacle
    }

    /// Those that will do for what is asked.
    fn usable<'a>(&'a self, asked: Option<&'a together::Asked>) -> impl Iterator<Item = &'a Arc<Link>> {
        let answers = move |link: &&Arc<Link>| self.routes.admits(asked, &link.place.server);
        self.open.iter().filter(|link| !link.is_dead()).filter(answers)
    }
}

/// One downstream as its callers meet it.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) wanted: watch::Sender<Downstream>,
    pub(super) links: watch::Sender<Links>,
    pub(super) breakers: Breakers,
    /// Rung when all connections are busy, or closed since nobody used them.
    pub(super) more: Notify,
    pub(super) stop: CancellationToken,
    /// The MCPServers behind it that were put to rest, until they are roused: no connection to them is kept meanwhile.
    pub(super) resting: watch::Sender<BTreeSet<ServerName>>,
    /// Resources whose updates clients wait for.
    pub(super) followed: Arc<Followed>,
    /// Connections of one client each.
    pub(super) privates: Privates,
    /// Absent when no connection can be had at all.
    opener: Option<Opener>,
    rounds: Rounds,
    activity: Arc<Activity>,
    turns: Turns,
    counters: Arc<Counters>,
    board: Arc<Board>,
    lately: Lately,
}

impl Door {
    pub(super) fn new(
        downstream: Downstream,
        counters: Arc<Counters>,
        parked: Arc<Parked>,
        (opener, rounds): (Option<Opener>, Rounds),
        board: Arc<Board>,
    ) -> Self {
        let activity = Arc::new(Activity::new(parked));
        activity.keep(&servers(&downstream));
        let limit = downstream.terms.at_once.unwrap_or(RUNNING);
        let obstacle = "it is still connecting".to_owned();
        Self {
            wanted: watch::Sender::new(downstream),
            links: watch::Sender::new(Links { opening: true, obstacle, ..Links::default() }),
            breakers: Breakers::default(),
            more: Notify::new(),
            stop: CancellationToken::new(),
            resting: watch::Sender::default(),
            followed: Arc::default(),
            privates: Privates::default(),
            opener,
            rounds,
            activity,
            turns: Turns::new(limit),
            counters,
            board,
            lately: Lately::default(),
        }
    }

    /// It is wanted otherwise from now on.
    pub(super) fn change(&self, downstream: Downstream) {
        let servers = servers(&downstream);
        self.activity.keep(&servers);
        self.breakers.keep(&servers);
        self.wanted.send_replace(downstream);
        self.resting.send_if_modified(|resting| {
            let before = resting.len();
            resting.retain(|server| servers.contains(server));
            resting.len() != before
        });
    }

    /// Whether that MCPServer is behind it.
    pub(super) fn is_of(&self, server: &ServerName) -> bool {
        self.wanted.borrow().parts().iter().any(|(name, _)| *name == server)
    }

    /// The MCPServers behind it that may sleep.
    pub(super) fn sleepers(&self) -> Vec<ServerName> {
        let wanted = self.wanted.borrow();
        let may_sleep = |part: &Result<Part<'_>, _>| part.is_ok_and(|part| part.wakes_within.is_some());
        let parts = wanted.parts().into_iter().filter(|(_, part)| may_sleep(part));
        parts.map(|(server, _)| server.clone()).collect()
    }

    /// How long nobody has used an MCPServer behind it; nothing while somebody does.
    pub(super) fn idle_for(&self, server: &ServerName) -> Option<Duration> {
        self.activity.idle_for(server)
    }

    /// Does this only if nobody uses the server: no call comes in between. Whether it was done.
    pub(super) fn if_unused(&self, server: &ServerName, act: impl FnOnce()) -> bool {
        self.activity.if_unused(server, act)
    }

    /// Connections that are open, and client sessions over them.
    pub(super) fn in_use(&self) -> (usize, usize) {
        let common = self.links.borrow().open.clone();
        let open = common.into_iter().chain(self.privates.all()).filter(|link| !link.is_dead());
        open.fold((0, 0), |(connections, sessions), link| (connections + 1, sessions + link.seated()))
    }

    pub(super) fn circuit(&self) -> Circuit {
        self.breakers.circuit()
    }

    pub(super) fn latency(&self) -> Latency {
        self.counters.latency()
    }

    /// Closes the connections to it, and keeps none until it is roused. Whether it was done: not while somebody uses
    /// it.
    pub(super) fn rest(&self, server: &ServerName) -> bool {
        self.activity.if_unused(server, || {
            self.resting.send_if_modified(|resting| resting.insert(server.clone()));
        })
    }

    pub(super) fn rouse(&self, server: &ServerName) {
        self.resting.send_if_modified(|resting| resting.remove(server));
    }

    /// One item for each change of one of its resources, by the server's own URI, until it is stopped.
    ///
    /// # Errors
    /// When none of its connections tells of changes, or it was stopped already.
    pub(super) fn updates(&self, uri: &str) -> Result<BoxStream<'static, ()>, RpcError> {
        let links = self.links.borrow();
        if self.stop.is_cancelled() {
            let message = format!("server {} has ended", self.wanted.borrow().name);
            return Err(RpcError::new(RpcError::INTERNAL, &message));
        }
        if !links.open.is_empty() && !links.open.iter().any(|link| link.offers.updates) {
            let name = &self.wanted.borrow().name;
            let message = format!(
                "server {name} does not tell when `{uri}` changes: read it again instead of subscribing"
            );
            return Err(RpcError::new(RpcError::METHOD_NOT_FOUND, &message));
        }
        let followed = self.followed.follow(uri);
        if links.parked {
            self.more.notify_one();
        }
        Ok(followed.take_until(self.stop.clone().cancelled_owned()).boxed())
    }

    /// # Errors
    /// As [`super::Gateway::call`].
    pub(super) async fn call(&self, mut request: Request, up: mpsc::Sender<Up>) -> Result<Raw, RpcError> {
        let (limit, kind, permitted) = {
            let wanted = self.wanted.borrow();
            (wanted.call_timeout, kind(&wanted), permits(&wanted, &request))
        };
        permitted?;
        let asked = together::asked(&request);
        let of_task = self.rounds.of_task(&mut request)?;
        let resumed = if of_task.is_none() { self.rounds.coming(&mut request)? } else { None };
        // What was refused up to here never left.
        let counting = Counting::begin(&self.counters);
        let mut call = self.activity.call();
        if let Some(of) = of_task {
            let answer = self.of_task(&of, &request, &mut call, &up, (limit, kind)).await;
            return counted(answer, &request, kind, counting).map(|result| of.shown(result));
        }
        if let Some(resumed) = resumed {
            let answer = self.go_on(resumed, &request, &mut call, &up, (limit, kind)).await;
            return counted(answer, &request, kind, counting);
        }
        let mut answer = self.answer(&request, asked.as_ref(), &mut call, &up, (limit, kind)).await;
        // Its pods may have gone while it was asked, put to rest by another replica: it waits as the others do. What
        // found no connection was never asked.
        if matches!(answer, Err(Refusal::NoConnection { .. })) && self.may_wake(asked.as_ref()) {
            answer = self.answer(&request, asked.as_ref(), &mut call, &up, (limit, kind)).await;
        }
        counted(answer, &request, kind, counting)
    }

    /// The next round of a call that was held open for its client's answer.
    async fn go_on(
        &self,
        resumed: Resumed,
        request: &Request,
        call: &mut Call<'_>,
        up: &mpsc::Sender<Up>,
        (limit, kind): (Duration, &str),
    ) -> Result<Result<Raw, RpcError>, Refusal> {
        call.goes_to(resumed.server());
        // Before the server is told: what cannot go on now has not gone on.
        let _turn = match self.turn(limit).await {
            Ok(turn) => turn,
            Err(refusal) => {
                self.rounds.put_back(resumed, request);
                return Err(refusal);
            }
        };
        match self.rounds.go_on(resumed, request, up, limit).await {
            Ok(answer) => Ok(answer),
            Err(Unanswered::TooSlow) => Ok(Err(too_slow(request, kind, limit))),
            Err(Unanswered::Fault(fault)) => Err(Refusal::Fault(fault)),
        }
    }

    /// Once it is awake, within `limit`.
    async fn answer(
        &self,
        request: &Request,
        asked: Option<&together::Asked>,
        call: &mut Call<'_>,
        up: &mpsc::Sender<Up>,
        (limit, kind): (Duration, &str),
    ) -> Result<Result<Raw, RpcError>, Refusal> {
        self.awake(asked).await?;
        let _turn = self.turn(limit).await?;
        Box::pin(self.try_twice(request, asked, call, up, (limit, kind))).await
    }

    /// Whether an MCPServer that could answer has no pods at times.
    fn may_wake(&self, asked: Option<&together::Asked>) -> bool {
        let routes = self.links.borrow().routes.clone();
        sleeper(&self.wanted.borrow(), &routes, asked).is_some()
    }

    /// A turn among those who call at once; waiting for it takes no longer than a call may.
    async fn turn(&self, within: Duration) -> Result<Turn<'_>, Refusal> {
        let limit = self.wanted.borrow().terms.at_once.unwrap_or(RUNNING);
        match tokio::time::timeout(within, self.turns.take(limit)).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(Crowded)) | Err(_) => Err(Refusal::Crowded { limit }),
        }
    }

    /// Waits until there is a connection, where an MCPServer that could answer sleeps; whoever keeps its pods sees
    /// that somebody waits.
    async fn awake(&self, asked: Option<&together::Asked>) -> Result<(), Refusal> {
        let (mut links, mut resting) = (self.links.subscribe(), self.resting.subscribe());
        // What it had before it rested is of no use.
        let usable = |links: &Links, resting: &BTreeSet<ServerName>| {
            links.usable(asked).any(|link| !resting.contains(&link.place.server))
        };
        if usable(&links.borrow_and_update(), &resting.borrow_and_update()) {
            return Ok(());
        }
        let routes = links.borrow().routes.clone();
        let Some((sleeper, within)) = sleeper(&self.wanted.borrow(), &routes, asked) else { return Ok(()) };
        let _waiting = self.activity.wait(&sleeper);
        let woken = async {
            while !usable(&links.borrow_and_update(), &resting.borrow_and_update()) {
                if links.borrow().parked {
                    self.more.notify_one();
                }
                let is_over = tokio::select! {
                    changed = links.changed() => changed.is_err(),
                    changed = resting.changed() => changed.is_err(),
                };
                if is_over {
                    return false;
                }
            }
            true
        };
        if tokio::time::timeout(within, woken).await == Ok(true) {
            return Ok(());
        }
        let obstacle = self.links.borrow().obstacle.clone();
        Err(Refusal::Asleep { sleeper, within, obstacle })
    }

    /// A connection takes as long as a call may, or as long as it takes at most to open one.
    async fn in_time<T>(
        &self,
        limit: Duration,
        link: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let within = limit.max(link::HANDSHAKE_WITHIN);
        tokio::time::timeout(within, link).await.unwrap_or_else(|_| {
            let obstacle = format!("no connection was opened within {within:?}");
            Err(Refusal::NoConnection { obstacle })
        })
    }

    async fn try_twice(
        &self,
        request: &Request,
        entry: Option<&together::Asked>,
        call: &mut Call<'_>,
        up: &mpsc::Sender<Up>,
        (limit, kind): (Duration, &str),
    ) -> Result<Result<Raw, RpcError>, Refusal> {
        let (mut tried, mut is_lost) = (0, false);
        loop {
            let link = self.in_time(limit, Box::pin(self.link(request, entry))).await?;
            self.lately.met();
            call.goes_to(&link.place.server);
            tried += 1;
            let server = &link.place.server;
            let Some(leave) = self.breakers.enter(server, Instant::now()) else { return Err(self.broken()) };
            let mut leave = Some(leave);
            let outcome = {
                // In a box: it is polled far down on the stack.
                let mut asking = Box::pin(self.rounds.ask(&link, request, up, limit));
                tokio::select! {
                    biased;
                    outcome = &mut asking => outcome,
                    () = link.asks() => {
                        // A server that asks is there, however long its client takes to answer.
                        if let Some(leave) = leave.take() {
                            leave.answered();
                        }
                        asking.await
                    }
                }
            };
            self.learn(server, leave, &outcome, (&request.method, limit));
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(Unanswered::TooSlow) => return Ok(Err(too_slow(request, kind, limit))),
                Err(Unanswered::Fault(fault)) if tried < repair::TRIES && fault.never_happened() => {}
                // Once: it may be this call that ends the server.
                Err(Unanswered::Fault(Fault::Ended(_))) if !is_lost && self.may_repeat(request) => {
                    is_lost = true
                }
                Err(Unanswered::Fault(fault)) => return Err(Refusal::Fault(fault)),
            }
        }
    }
}

fn counted(
    answer: Result<Result<Raw, RpcError>, Refusal>,
    request: &Request,
    kind: &str,
    counting: Counting<'_>,
) -> Result<Raw, RpcError> {
    counting.end(!matches!(answer, Ok(Ok(_))));
    answer.unwrap_or_else(|refusal| refused(request, kind, refusal))
}

fn servers(downstream: &Downstream) -> BTreeSet<ServerName> {
    downstream.parts().into_iter().map(|(server, _)| server.clone()).collect()
}

/// The MCPServer to wake for what is asked: the first by name that may sleep; and how long that may take.
fn sleeper(
    wanted: &Downstream,
    routes: &Routes,
    asked: Option<&together::Asked>,
) -> Option<(ServerName, Duration)> {
    let mut parts = wanted.parts().into_iter().filter(|(server, _)| routes.admits(asked, server));
    parts.find_map(|(server, part)| Some((server.clone(), part.ok()?.wakes_within?)))
}

/// Allow and deny hold for calls as for lists; a hidden tool is answered as one that is not there.
fn permits(wanted: &Downstream, request: &Request) -> Result<(), RpcError> {
    if request.method != "tools/call" {
        return Ok(());
    }
    let fields = Fields::of(request.params.as_deref()).unwrap_or_default();
    let name = fields.get_str("name").unwrap_or_default();
    if wanted.tools.permits(&name) {
        return Ok(());
    }
    let message = format!("Unknown tool: server {} offers no `{name}`; list the tools again", wanted.name);
    Err(RpcError::new(RpcError::INVALID_PARAMS, &message))
}

/// What its settings stand in.
fn kind(wanted: &Downstream) -> &'static str {
    if matches!(wanted.target, Target::Members(_)) { "MCPPool" } else { "MCPServer" }
}
