//! What capture counts. Every replica has these; how writes came about is told by the one that leads.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

use super::{coverage::Coverage, joiner::Audited, write::Way};

type Label = [(&'static str, &'static str); 1];

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics {
    writes: Family<Label, Counter>,
    dropped: Family<Label, Counter>,
    malformed: Family<Label, Counter>,
    audited: Family<Label, Counter>,
    unconfirmed: Counter,
    objects: Gauge,
    bytes: Gauge,
    coverage: Arc<Mutex<Coverage>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

const SOURCES: [&str; 3] = ["watch", "webhook", "audit_events"];

impl Metrics {
    pub(super) fn of(coverage: Arc<Mutex<Coverage>>) -> Self {
        Self { coverage, ..Self::default() }
    }

    /// What can be counted is there from the beginning, as 0.
    pub fn register(&self, registry: &mut Registry) {
        let Self { writes, dropped, malformed, audited, unconfirmed, objects, bytes, coverage } = self;
        for way in Way::ALL {
            drop(writes.get_or_create(&[("way", way.as_str())]));
        }
        for source in SOURCES {
            drop(dropped.get_or_create(&[("source", source)]));
            drop(malformed.get_or_create(&[("source", source)]));
        }
        for captured in ["true", "false"] {
            drop(audited.get_or_create(&[("captured", captured)]));
        }
        let gitops = registry.sub_registry_with_prefix("gitops");
        gitops.register(
            "writes",
            "Writes in scope by how they came about, told by the replica that leads",
            writes.clone(),
        );
        gitops.register_collector(Box::new(AtThisMoment { coverage: coverage.clone() }));
        let capture = registry.sub_registry_with_prefix("capture");
        capture.register(
            "dropped",
            "Sightings that were dropped because too many were waiting",
            dropped.clone(),
        );
        capture.register("malformed", "Sightings that could not be read", malformed.clone());
        let help = "Successful writes in scope by audit events: whether the watch has shown them. What changed nothing counts as false";
        capture.register("audit_writes", help, audited.clone());
        capture.register(
            "unconfirmed",
            "Questions of the API server after which nothing was stored",
            unconfirmed.clone(),
        );
        capture.register("objects", "Objects that are followed", objects.clone());
        capture.register("bytes", "Memory that the followed objects take, about", bytes.clone());
    }

    pub(super) fn wrote(&self, way: Way) {
        self.writes.get_or_create(&[("way", way.as_str())]).inc();
    }

    pub(super) fn dropped(&self, source: &'static str) {
        self.dropped.get_or_create(&[("source", source)]).inc();
    }

    pub(super) fn malformed(&self, source: &'static str, count: usize) {
        self.malformed.get_or_create(&[("source", source)]).inc_by(count as u64);
    }

    pub(super) fn following(&self, objects: usize, bytes: usize) {
        self.objects.set(i64::try_from(objects).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Both only grow.
    pub(super) fn audited(&self, Audited { captured, unmatched }: Audited, unconfirmed: u64) {
        for (label, now) in [("true", captured), ("false", unmatched)] {
            let counter = self.audited.get_or_create(&[("captured", label)]);
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        self.unconfirmed.inc_by(unconfirmed.saturating_sub(self.unconfirmed.get()));
    }

    #[cfg(test)]
    pub(super) fn dropped_so_far(&self, source: &'static str) -> u64 {
        self.dropped.get_or_create(&[("source", source)]).get()
    }
}

#[derive(Debug)]
struct AtThisMoment {
    coverage: Arc<Mutex<Coverage>>,
}

impl Collector for AtThisMoment {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figure =
            self.coverage.lock().unwrap_or_else(PoisonError::into_inner).figure(None, Timestamp::now());
        let Some(ratio) = figure.ratio() else { return Ok(()) };
        let gauge = ConstGauge::new(ratio);
        let help = "Share of the writes in scope of the last 24 hours that came through Git or a session; absent without writes";
        gauge.encode(encoder.encode_descriptor("coverage_ratio", help, None, gauge.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::{Audited, Metrics};
    use crate::changes::capture::{joiner_fixture::write, write::Way};

    fn read(metrics: &Metrics) -> String {
        let mut registry = Registry::with_prefix("pilothouse");
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn what_is_captured_is_counted() {
        let metrics = Metrics::default();
        let before = read(&metrics);
        assert!(before.contains("pilothouse_gitops_writes_total{way=\"unsanctioned\"} 0\n"), "{before}");
        assert!(!before.contains("\npilothouse_gitops_coverage_ratio "), "nothing was written: {before}");
        metrics.wrote(Way::Git);
        for (version, way) in
            [("1", Way::Git), ("2", Way::Session), ("3", Way::Git), ("4", Way::Unsanctioned)]
        {
            metrics.coverage.lock().unwrap().judge(&write(version, jiff::Timestamp::now()), Some(way));
        }
        metrics.audited(Audited { captured: 3, unmatched: 1 }, 2);
        metrics.audited(Audited { captured: 3, unmatched: 1 }, 2);
        metrics.dropped("webhook");
        let after = read(&metrics);
        for line in [
            "pilothouse_gitops_writes_total{way=\"git\"} 1\n",
            "pilothouse_gitops_coverage_ratio 0.75\n",
            "pilothouse_capture_audit_writes_total{captured=\"true\"} 3\n",
            "pilothouse_capture_audit_writes_total{captured=\"false\"} 1\n",
            "pilothouse_capture_unconfirmed_total 2\n",
            "pilothouse_capture_dropped_total{source=\"webhook\"} 1\n",
        ] {
            assert!(after.contains(line), "{line} is missing:\n{after}");
        }
    }
}
