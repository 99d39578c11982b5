//! What people write to the cluster past Git, seen from three sides: the watch, the webhook, the API server's own
//! record. What the sources say is joined into [`Write`]s; who asked for them is `emergency`'s to say.
//!
//! [`Capture`] is assembled, then [`Capture::run`]; [`Writes`] is what comes of it. `watching` gives states of objects,
//! of which [`tracker`] makes writes ([`snapshot`], [`content`], [`fields`]); [`asked`] and [`recorded`] are what the
//! [`doors`] bring; [`joiner`] puts them together by [`rules`]. README.md says which rules were hard.

mod asked;
mod config;
mod content;
mod core;
mod coverage;
mod doors;
mod fields;
mod joiner;
#[cfg(test)]
mod joiner_fixture;
mod metrics;
mod recorded;
mod rules;
mod scope;
mod sharing;
mod snapshot;
mod store;
mod stream;
mod tracker;
mod watching;
mod write;

pub use config::{Account, AuditEventsConfig, CaptureConfig, GitopsConfig, ScopeConfig, SystemConfig};
pub use doors::{Doors, Reception};
pub use metrics::Metrics;
pub use scope::WatchedKind;
pub use sharing::Replicas;
pub use store::StoreError;
pub use stream::Writes;
pub use watching::{Broken, Cluster, Happening};
pub use write::{DELETED, FieldChange, ObjectRef, Seen, Verb, Way, Witness, Write, WriteId};

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use axum::Router;
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::{
    core::{Core, Shared},
    coverage::Coverage,
    doors::{Brought, POSTS, QUESTIONS},
    joiner::Joiner,
    rules::Rules,
    scope::Scope,
    sharing::{Door, Fetcher, Heard},
    stream::{Judged, Queue},
};
use crate::tools::{CoverageFigure, GitopsCoverage};

/// How long a write waits for its user, where somebody else than the watch may know him.
const PATIENCE: SignedDuration = SignedDuration::from_secs(2);
/// States on their way from the watch.
const GLIMPSES: usize = 256;
const TICK: Duration = Duration::from_millis(200);
/// What is done with is stored so often.
const STORE_EVERY: u32 = 10;

/// What capture works on besides its configuration.
pub struct Surroundings {
    pub cluster: Arc<dyn Cluster>,
    /// The namespace that this process runs in, whose writes are not captured; none outside a cluster.
    pub own_namespace: Option<String>,
    /// The API server asks this process or a replica of it.
    pub is_asked: bool,
    /// The other replicas, and the key that all share. Without it what others were brought is not known here.
    pub replicas: Option<(Arc<dyn Replicas>, [u8; 32])>,
}

/// One replica's capture, assembled by [`Capture::open`].
pub struct Capture {
    core: Core,
    cluster: Arc<dyn Cluster>,
    kinds: BTreeSet<String>,
    namespaces: Vec<String>,
    replicas: Option<(Arc<dyn Replicas>, [u8; 32])>,
    /// What the others may ask for.
    door: Door,
    metrics: Metrics,
    doors: Doors,
    questions: mpsc::Receiver<Brought>,
    posts: mpsc::Receiver<Brought>,
    judged: mpsc::UnboundedReceiver<Judged>,
}

impl Capture {
    /// Reads what an earlier process left in `data/capture/`; the network is not touched.
    ///
    /// # Errors
    /// When that folder cannot be used.
    pub fn open(
        config: CaptureConfig,
        data: &Path,
        surroundings: Surroundings,
    ) -> Result<(Self, Writes), StoreError> {
        let CaptureConfig { scope, gitops, system, audit_events } = config;
        let ScopeConfig { namespaces, kinds } = scope;
        let Surroundings { cluster, own_namespace, is_asked, replicas } = surroundings;
        let coverage = Arc::<Mutex<Coverage>>::default();
        let (heard, queue) = (Heard::default(), Arc::<Queue>::default());
        let metrics = Metrics::of(coverage.clone());
        let patience = if is_asked || audit_events.is_some() { PATIENCE } else { SignedDuration::ZERO };
        let joiner = Joiner::new(Rules::new(gitops, system), patience);
        let shared = Shared {
            coverage: coverage.clone(),
            heard: heard.clone(),
            queue: queue.clone(),
            metrics: metrics.clone(),
        };
        let scope = Scope::new(namespaces, own_namespace);
        let namespaces = scope.namespaces().cloned().collect();
        let core = Core::open(&data.join("capture"), scope, joiner, shared)?;
        let (question, questions) = mpsc::channel(QUESTIONS);
        let (post, posts) = mpsc::channel(POSTS);
        let (judge, judged) = mpsc::unbounded_channel();
        let token_file = audit_events.map(|AuditEventsConfig { token_file }| token_file);
        let doors = Doors::new(question, post, token_file, metrics.clone());
        let capture = Self {
            core,
            cluster,
            kinds,
            namespaces,
            replicas,
            door: Door { heard, coverage, leads: Arc::default() },
            metrics,
            doors,
            questions,
            posts,
            judged,
        };
        Ok((capture, Writes::new(queue, judge)))
    }

    /// For the webhook's listener.
    pub fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// To be registered before it runs.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// For `cluster_overview`.
    pub fn coverage(&self) -> Arc<dyn GitopsCoverage> {
        Arc::new(Told(self.door.coverage.clone()))
    }

    /// What the other replicas fetch from this one's health port; nothing without a shared key.
    pub fn router(&self) -> Router {
        self.replicas.as_ref().map_or_else(Router::new, |(_, key)| self.door.clone().router(key))
    }

    /// Follows the cluster until `stop`. `leads`: whether somebody in this process reads the writes at this moment.
    pub async fn run(self, leads: impl Fn() -> bool + Clone + Send + 'static, stop: CancellationToken) {
        let Self {
            mut core,
            cluster,
            kinds,
            namespaces,
            replicas,
            door: Door { heard: _, coverage, leads: is_leading },
            metrics,
            doors,
            mut questions,
            mut posts,
            mut judged,
        } = self;
        let (into, mut glimpses) = mpsc::channel(GLIMPSES);
        // Sets, so that their tasks end with this future.
        let _following = watching::follow(&cluster, kinds, &namespaces, &into, &metrics);
        let (fetched, mut others) = mpsc::channel(QUESTIONS);
        let mut fetching = JoinSet::new();
        match replicas.map(|(replicas, key)| Fetcher::new(replicas, &key, coverage)) {
            Some(Ok(fetcher)) => {
                fetching.spawn(fetcher.run(leads.clone(), fetched.clone()));
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "what other replicas were brought is not known here");
            }
            None => {}
        }
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks: u32 = 0;
        loop {
            // In this order: who is asked before something is stored is heard before it is seen to be stored.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(judged) = judged.recv() => core.judged(&judged),
                Some(brought) = questions.recv() => core.brought(&brought, Timestamp::now()),
                Some(hearsay) = others.recv() => core.overheard(hearsay, Timestamp::now()),
                Some(brought) = posts.recv() => core.brought(&brought, Timestamp::now()),
                _ = tick.tick() => {
                    let now = Timestamp::now();
                    let leads = leads();
                    is_leading.store(leads, Ordering::Relaxed);
                    core.pass(leads, now);
                    ticks = ticks.wrapping_add(1);
                    if ticks.is_multiple_of(STORE_EVERY) {
                        core.store_all(now);
                    }
                }
                Some(glimpse) = glimpses.recv(), if core.takes_more() => core.glimpse(glimpse, Timestamp::now()),
            }
        }
        while let Ok(judged) = judged.try_recv() {
            core.judged(&judged);
        }
        core.store_all(Timestamp::now());
        // Whoever serves them has no more than this to bring them to.
        drop((doors, into, fetched));
    }
}

struct Told(Arc<Mutex<Coverage>>);

impl GitopsCoverage for Told {
    fn figure(&self, namespace: Option<&str>) -> CoverageFigure {
        let coverage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let figure = coverage.figure(namespace, Timestamp::now());
        let writes = figure.writes();
        let coverage::Figure { git, session, unsanctioned: _, past } = figure;
        CoverageFigure { writes, through_git: git, in_sessions: session, past }
    }
}
