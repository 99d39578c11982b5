//! What the record says of itself to whoever scrapes metrics.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use crate::audit::{Audit, Figures};

/// Reads the record at scrape time, so nothing has to be counted twice.
#[derive(Debug)]
pub(super) struct AuditFigures(pub(super) Audit);

impl Collector for AuditFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Figures { written, failures, signed, not_copied } = self.0.figures();
        let mut tell = |name: &str, help: &str, metric: &dyn Tell| metric.tell(&mut encoder, name, help);
        tell("audit_lines", "Lines written to the audit record", &ConstCounter::new(written))?;
        let help = "Groups of lines that could not be written; calls are refused meanwhile";
        tell("audit_failures", help, &ConstCounter::new(failures))?;
        let help = "Lines of the audit record under its last signed checkpoint";
        tell("audit_checkpoint_size", help, &ConstGauge::new(i64::try_from(signed).unwrap_or(i64::MAX)))?;
        let help = "Lines of the audit record that could not be copied to stderr";
        tell("audit_lines_not_copied", help, &ConstCounter::new(not_copied))
    }
}

/// A metric without labels.
trait Tell {
    fn tell(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> Result<(), fmt::Error>;
}

impl<M: EncodeMetric> Tell for M {
    fn tell(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> Result<(), fmt::Error> {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}
