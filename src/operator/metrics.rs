//! What the operator counts and times. Every replica has these; those that do not lead stay where they are.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tokio::sync::watch;

use super::{data_source, deeds::Verb, lease::Leadership, mcp_server};
use crate::fleet::ServerName;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// A step of a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Dereference,
    Apply,
    Status,
    /// Everything, with what needs no client.
    All,
}

impl Step {
    const ALL: [Self; 4] = [Self::Dereference, Self::Apply, Self::Status, Self::All];

    fn as_str(self) -> &'static str {
        match self {
            Self::Dereference => "dereference",
            Self::Apply => "apply",
            Self::Status => "status",
            Self::All => "all",
        }
    }
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing is left to do until something changes.
    Settled,
    /// It is looked at again after a while.
    Again,
    Failed(Failing),
}

/// Why a reconcile failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    Conflict,
    Unanswered,
    NotLeading,
    Internal,
}

impl Failing {
    const ALL: [Self; 4] = [Self::Conflict, Self::Unanswered, Self::NotLeading, Self::Internal];

    fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Unanswered => "unanswered",
            Self::NotLeading => "not_leading",
            Self::Internal => "internal",
        }
    }
}

/// The phases that objects of a kind go through. Each is there from the beginning, as 0.
const PHASES: [(&str, &[&str]); 2] = [
    (mcp_server::KIND, &["Pending", "Deploying", "Ready", "Degraded", "Failed", "Stopped"]),
    (data_source::KIND, &["Pending", "Connected", "Degraded", "Failed"]),
];

/// Shared by everything in the operator; cloning is cheap.
#[derive(Clone)]
pub struct Metrics {
    reconciles: Family<Labels<2>, Counter>,
    steps: Family<Labels<2>, Histogram, fn() -> Histogram>,
    errors: Family<Labels<2>, Counter>,
    writes: Family<[(&'static str, String); 2], Counter>,
    terms: Counter,
    board: Arc<Mutex<Board>>,
}

/// What is at this moment.
#[derive(Debug, Default)]
struct Board {
    queued: HashSet<(&'static str, ServerName)>,
    phases: HashMap<(&'static str, ServerName), &'static str>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            reconciles: Family::default(),
            steps: Family::new_with_constructor(histogram),
            errors: Family::default(),
            writes: Family::default(),
            terms: Counter::default(),
            board: Arc::default(),
        }
    }
}

/// From 1 ms to 8 s.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 14))
}

impl Metrics {
    /// Everything under `operator_`; `leadership` is looked at when the metrics are read.
    pub fn register(&self, registry: &mut Registry, leadership: watch::Receiver<Leadership>) {
        let registry = registry.sub_registry_with_prefix("operator");
        let Self { reconciles, steps, errors, writes, terms, board } = self;
        let help = "Reconciles by how they ended: settled, again (looked at again after a while), failed";
        registry.register("reconciles", help, reconciles.clone());
        let help = "Seconds of a reconcile by step; all: the whole";
        registry.register("step_seconds", help, steps.clone());
        let help = "Reconciles that failed, by reason; each is tried again";
        registry.register("errors", help, errors.clone());
        let help = "Writes of children, by verb and kind";
        registry.register("writes", help, writes.clone());
        let help = "Times this replica began to lead";
        registry.register("terms", help, terms.clone());
        registry.register_collector(Box::new(AtThisMoment { board: board.clone(), leadership }));
    }

    /// Of one kind of object. What can be counted is there from the beginning, as 0.
    pub(super) fn meter(&self, kind: &'static str) -> Meter {
        for ending in ["settled", "again", "failed"] {
            drop(self.reconciles.get_or_create(&[("kind", kind), ("ending", ending)]));
        }
        for step in Step::ALL {
            drop(self.steps.get_or_create(&[("kind", kind), ("step", step.as_str())]));
        }
        for failing in Failing::ALL {
            drop(self.errors.get_or_create(&[("kind", kind), ("reason", failing.as_str())]));
        }
        for verb in ["create", "replace", "scale", "delete"] {
            drop(self.writes.get_or_create(&[("verb", verb.to_owned()), ("kind", "Deployment".to_owned())]));
        }
        Meter { metrics: self.clone(), kind }
    }

    pub(super) fn wrote(&self, verb: Verb, kind: &str) {
        let labels = [("verb", verb.as_str().to_owned()), ("kind", kind.to_owned())];
        self.writes.get_or_create(&labels).inc();
    }

    pub(super) fn term_begins(&self) {
        self.terms.inc();
    }

    /// What another replica knows now is not told twice.
    pub(super) fn term_ends(&self) {
        *self.board() = Board::default();
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The metrics of one kind of object.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    metrics: Metrics,
    kind: &'static str,
}

impl Meter {
    pub(super) async fn timed<T>(&self, step: Step, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = work.await;
        let labels = [("kind", self.kind), ("step", step.as_str())];
        self.metrics.steps.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
        done
    }

    pub(super) fn ended(&self, ending: Ending) {
        let (word, failing) = match ending {
            Ending::Settled => ("settled", None),
            Ending::Again => ("again", None),
            Ending::Failed(failing) => ("failed", Some(failing)),
        };
        self.metrics.reconciles.get_or_create(&[("kind", self.kind), ("ending", word)]).inc();
        if let Some(failing) = failing {
            self.metrics.errors.get_or_create(&[("kind", self.kind), ("reason", failing.as_str())]).inc();
        }
    }

    /// It waits for its turn.
    pub(super) fn queued(&self, name: ServerName) {
        self.metrics.board().queued.insert((self.kind, name));
    }

    /// Its turn has come.
    pub(super) fn begun(&self, name: &ServerName) {
        self.metrics.board().queued.remove(&(self.kind, name.clone()));
    }

    /// One of those that the kind has.
    pub(super) fn phase(&self, name: &ServerName, phase: &'static str) {
        self.metrics.board().phases.insert((self.kind, name.clone()), phase);
    }

    /// It is gone.
    pub(super) fn forget(&self, name: &ServerName) {
        let mut board = self.metrics.board();
        board.queued.remove(&(self.kind, name.clone()));
        board.phases.remove(&(self.kind, name.clone()));
    }
}

/// Counted when the metrics are read.
#[derive(Debug)]
struct AtThisMoment {
    board: Arc<Mutex<Board>>,
    leadership: watch::Receiver<Leadership>,
}

impl Collector for AtThisMoment {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let leads = self.leadership.borrow().holds_at(tokio::time::Instant::now());
        single(&mut encoder, "leads", "1 where this replica holds the lease and writes", i64::from(leads))?;
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let queued = i64::try_from(board.queued.len()).unwrap_or(i64::MAX);
        single(&mut encoder, "queue_depth", "Objects that wait for a reconcile", queued)?;
        // Only who leads has looked at them all.
        let help = "Objects by phase, told by the replica that leads";
        let of_any = ConstGauge::new(0_i64);
        let mut objects = encoder.encode_descriptor("objects", help, None, of_any.metric_type())?;
        for (kind, phases) in PHASES {
            for phase in phases {
                let of_both = |((of, _), is): &(&(&str, ServerName), &&str)| *of == kind && *is == phase;
                let count = board.phases.iter().filter(of_both).count();
                let labels = [("kind", kind), ("phase", phase)];
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                ConstGauge::new(count).encode(objects.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn single(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use prometheus_client::{encoding::text::encode, registry::Registry};
    use tokio::sync::watch;

    use super::{Ending, Failing, Metrics, Step, Verb};
    use crate::{fleet::ServerName, operator::lease::Leadership};

    fn name(name: &str) -> ServerName {
        ServerName { namespace: "team-a".to_owned(), name: name.to_owned() }
    }

    fn read(metrics: &Metrics) -> String {
        let mut registry = Registry::with_prefix("pilothouse");
        metrics.register(&mut registry, watch::channel(Leadership::Following).1);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[tokio::test]
    async fn what_happened_is_counted() {
        let metrics = Metrics::default();
        let meter = metrics.meter("MCPServer");
        let before = read(&metrics);
        for line in [
            "pilothouse_operator_leads 0\n",
            "pilothouse_operator_queue_depth 0\n",
            "pilothouse_operator_errors_total{kind=\"MCPServer\",reason=\"conflict\"} 0\n",
            "pilothouse_operator_objects{kind=\"MCPServer\",phase=\"Ready\"} 0\n",
        ] {
            assert!(before.contains(line), "{line} is there from the beginning:\n{before}");
        }
        meter.queued(name("a"));
        meter.queued(name("a"));
        meter.queued(name("b"));
        meter.begun(&name("b"));
        meter.timed(Step::Apply, async {}).await;
        meter.ended(Ending::Settled);
        meter.ended(Ending::Failed(Failing::Conflict));
        meter.phase(&name("a"), "Deploying");
        meter.phase(&name("a"), "Ready");
        meter.phase(&name("b"), "Ready");
        metrics.meter("DataSource").phase(&name("b"), "Connected");
        meter.forget(&name("b"));
        metrics.wrote(Verb::Scale { replicas: 3 }, "Deployment");
        metrics.term_begins();
        let after = read(&metrics);
        for line in [
            "pilothouse_operator_queue_depth 1\n",
            "pilothouse_operator_reconciles_total{kind=\"MCPServer\",ending=\"settled\"} 1\n",
            "pilothouse_operator_reconciles_total{kind=\"MCPServer\",ending=\"failed\"} 1\n",
            "pilothouse_operator_errors_total{kind=\"MCPServer\",reason=\"conflict\"} 1\n",
            "pilothouse_operator_step_seconds_count{kind=\"MCPServer\",step=\"apply\"} 1\n",
            "pilothouse_operator_objects{kind=\"MCPServer\",phase=\"Ready\"} 1\n",
            "pilothouse_operator_objects{kind=\"MCPServer\",phase=\"Deploying\"} 0\n",
            "pilothouse_operator_objects{kind=\"DataSource\",phase=\"Connected\"} 1\n",
            "pilothouse_operator_writes_total{verb=\"scale\",kind=\"Deployment\"} 1\n",
            "pilothouse_operator_terms_total 1\n",
        ] {
            assert!(after.contains(line), "{line} is missing:\n{after}");
        }
        metrics.term_ends();
        assert!(read(&metrics).contains("phase=\"Ready\"} 0\n"), "another replica tells them now");
    }
}
