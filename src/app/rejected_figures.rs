//! The messages that were not taken, of clients and of servers, for whoever scrapes metrics.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

use crate::gateway::wire::rejected::{Reason, Rejections};

/// Every series is there from the start: a first rejection shows as an increase.
#[derive(Debug)]
pub(super) struct RejectedFigures {
    pub(super) clients: Arc<Rejections>,
    pub(super) servers: Arc<Rejections>,
}

impl Collector for RejectedFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Messages of clients and of servers that were not taken, by why";
        let mut family = encoder.encode_descriptor("rejected_messages", help, None, MetricType::Counter)?;
        for (side, rejections) in [("client", &self.clients), ("server", &self.servers)] {
            for reason in Reason::ALL {
                let labels = [("side", side), ("reason", reason.word())];
                ConstCounter::new(rejections.of(reason)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
