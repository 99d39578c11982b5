//! Whether a Prometheus is told of the server's metrics.

use super::{
    conditions::{Finding, Holds},
    extras::Extras,
};
use crate::{api::mcp_server::ConditionType, operator::mcp_server::kind::Kind};

pub(super) fn ready(extras: &Extras) -> Option<Finding> {
    if !extras.monitor_declared {
        return None;
    }
    let (holds, reason, message) = if extras.missing.contains(&Kind::ServiceMonitor) {
        (
            Holds::No,
            "KindMissing",
            "The cluster has no ServiceMonitor (monitoring.coreos.com/v1): install the Prometheus operator, the ServiceMonitor is then made within a minute.",
        )
    } else {
        (Holds::Yes, "Made", "The ServiceMonitor is there.")
    };
    Some(Finding {
        type_: ConditionType::ServiceMonitorReady,
        holds,
        reason: reason.to_owned(),
        message: message.to_owned(),
    })
}
