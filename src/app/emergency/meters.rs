//! What is counted of emergencies.

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{api::emergency_change::EmergencyPhase, changes::emergency::Counting};

type Labels = [(&'static str, &'static str); 1];

/// Cheap to clone. Told by the replica that leads.
#[derive(Clone, Default)]
pub(crate) struct Meters(Arc<Inner>);

#[derive(Default)]
struct Inner {
    broken: Family<Labels, Counter>,
    phases: Family<Labels, Gauge>,
}

impl Meters {
    /// What can be counted is there from the beginning, as 0.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let Inner { broken, phases } = &*self.0;
        for deadline in ["reconcile", "review"] {
            drop(broken.get_or_create(&[("deadline", deadline)]));
        }
        for phase in EmergencyPhase::ALL {
            drop(phases.get_or_create(&[("phase", phase.as_str())]));
        }
        let help = "Deadlines of emergencies that were broken: reconcile, review";
        registry.register("emergency_deadlines_broken", help, broken.clone());
        let help = "Emergencies and unsanctioned changes by phase, told by the replica that leads";
        registry.register("emergencies", help, phases.clone());
    }
}

impl Counting for Meters {
    fn broken(&self, deadline: &'static str) {
        self.0.broken.get_or_create(&[("deadline", deadline)]).inc();
    }

    fn phases(&self, phases: &[(&'static str, usize)]) {
        for (phase, count) in phases {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.0.phases.get_or_create(&[("phase", phase)]).set(count);
        }
    }
}
