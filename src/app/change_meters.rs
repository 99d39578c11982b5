//! What is counted of change requests.

use std::sync::Arc;

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::{api::change_request::ChangePhase, changes::Counting};

type Labels = [(&'static str, &'static str); 1];

/// Cheap to clone. Told by the replica that leads.
#[derive(Clone, Default)]
pub(super) struct ChangeMeters(Arc<Inner>);

struct Inner {
    standing: Family<Labels, Gauge>,
    reached: Family<Labels, Counter>,
    seconds: Histogram,
}

impl Default for Inner {
    fn default() -> Self {
        // From a minute to two weeks: people are in it.
        let seconds = Histogram::new(exponential_buckets(60.0, 3.0, 10));
        Self { standing: Family::default(), reached: Family::default(), seconds }
    }
}

impl ChangeMeters {
    /// What can be counted is there from the beginning, as 0.
    pub(super) fn register(&self, registry: &mut Registry) {
        let Inner { standing, reached, seconds } = &*self.0;
        for phase in ChangePhase::ALL {
            let labels = [("phase", phase.as_str())];
            drop(standing.get_or_create(&labels));
            drop(reached.get_or_create(&labels));
        }
        let help = "Change requests by phase, told by the replica that leads";
        registry.register("change_requests", help, standing.clone());
        let help = "Times that change requests came to a phase while this replica led";
        registry.register("change_requests_reached", help, reached.clone());
        let help = "Seconds from a change request's review to its object being healthy with it";
        registry.register("change_request_seconds", help, seconds.clone());
    }
}

impl Counting for ChangeMeters {
    fn reached(&self, phase: ChangePhase) {
        self.0.reached.get_or_create(&[("phase", phase.as_str())]).inc();
    }

    fn took(&self, seconds: f64) {
        self.0.seconds.observe(seconds);
    }

    fn standing(&self, counts: &[(ChangePhase, usize)]) {
        for (phase, count) in counts {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.0.standing.get_or_create(&[("phase", phase.as_str())]).set(count);
        }
    }
}
