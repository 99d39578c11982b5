//! What must hold; from the plan's budgets.

use anyhow::ensure;

use crate::{counters::Counters, many::Many, real::Real, record::Request};

/// Seconds.
const RUNNING: f64 = 30.0;
const CONVERGED: f64 = 5.0;
/// Of all reconciles.
const SUCCEEDED: f64 = 0.999;
/// Milliseconds of a reconcile without the time of the API.
const OWN: f64 = 5.0;
/// MB for a thousand servers.
const MEMORY: f64 = 50.0;

#[derive(Default)]
pub(crate) struct Bars {
    /// What was wanted, what was measured, and whether it holds.
    all: Vec<(String, String, bool)>,
    /// Those of them that fail the run.
    missed: Vec<String>,
}

impl Bars {
    pub(crate) fn all(&self) -> &[(String, String, bool)] {
        &self.all
    }

    fn must(&mut self, what: String, measured: String, holds: bool) {
        if !holds {
            self.missed.push(what.clone());
        }
        self.all.push((what, measured, holds));
    }

    fn below(&mut self, what: &str, measured: f64, bar: f64, unit: &str) {
        self.must(format!("{what} <= {bar} {unit}"), format!("{measured:.2} {unit}"), measured <= bar);
    }

    /// Told, and not asked for: it depends on the machine.
    fn wanted(&mut self, what: &str, measured: f64, bar: f64, unit: &str) {
        let what = format!("(wanted) {what} <= {bar} {unit}");
        self.all.push((what, format!("{measured:.2} {unit}"), measured <= bar));
    }

    pub(crate) fn real(&mut self, real: &Real) {
        let Real { ours, peer, converged, rolled: _ } = real;
        self.below("apply to running", ours.running.1, RUNNING, "s");
        self.below("a change in place", *converged, CONVERGED, "s");
        let Some(peer) = peer else { return };
        self.below("apply to Ready, of ToolHive's", ours.ready.0 / peer.ready.0, 1.0, "x");
        if is_release() {
            self.below("memory of the operator, of ToolHive's", ours.memory / peer.memory, 1.0, "x");
        }
        let pods = (ours.pods, peer.pods);
        let measured = format!("{} of {}", pods.0, pods.1);
        self.must("no more pods than ToolHive's".to_owned(), measured, pods.0 <= pods.1);
    }

    pub(crate) fn many(&mut self, many: &Many) {
        let writes = written(&many.while_quiet);
        self.must("writes while nothing happens: 0".to_owned(), writes.to_string(), writes == 0);
        let succeeded = succeeded(&many.counters);
        let measured = format!("{:.2} %", succeeded * 100.0);
        self.must("reconciles that succeed >= 99.9 %".to_owned(), measured, succeeded >= SUCCEEDED);
        if is_release() {
            self.wanted("processor time of a reconcile", many.processor, OWN, "ms");
            self.wanted("memory after", many.memory.after, MEMORY, "MB");
            self.below("memory after, the program's own file aside", many.memory.after_data, MEMORY, "MB");
        }
    }

    pub(crate) fn hold(&self) -> anyhow::Result<()> {
        let Self { all: _, missed } = self;
        ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
        Ok(())
    }
}

/// What a debug build takes is not judged.
fn is_release() -> bool {
    std::env::var("PILOTHOUSE_BINARY").is_ok_and(|binary| binary.contains("release"))
}

/// Share of the reconciles that did not fail.
pub(crate) fn succeeded(counters: &Counters) -> f64 {
    let well = counters.reconciles("settled") + counters.reconciles("again");
    well / (well + counters.reconciles("failed")).max(1.0)
}

pub(crate) fn written(requests: &[Request]) -> usize {
    requests.iter().filter(|request| request.writes()).count()
}

/// Without the lease, and without tries to reach pods that nobody serves.
pub(crate) fn answered(requests: &[Request]) -> usize {
    requests.iter().filter(|request| !request.knocks() && !request.is_of_lease()).count()
}
