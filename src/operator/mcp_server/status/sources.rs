//! The condition that speaks of DataSources.

use super::{
    conditions::{Finding, Holds},
    extras::Extras,
};
use crate::{api::mcp_server::ConditionType, operator::mcp_server::sources::Sources};

pub(super) fn connected(extras: &Extras) -> Option<Finding> {
    let Sources { connected, troubles } = extras.sources.as_ref()?;
    let finding = |holds, reason: &str, message: String| Finding {
        type_: ConditionType::DataSourcesConnected,
        holds,
        reason: reason.to_owned(),
        message,
    };
    let count = match connected.count {
        1 => "1 DataSource is connected".to_owned(),
        count => format!("{count} DataSources are connected"),
    };
    Some(match (connected.count, troubles.as_slice()) {
        (_, [first, rest @ ..]) => {
            let more = if rest.is_empty() { String::new() } else { format!(" ({} more)", rest.len()) };
            finding(Holds::No, "NotUsable", format!("{first}{more} {count}."))
        }
        (0, []) => finding(
            Holds::No,
            "NoneSelected",
            "spec.dataSources selects no DataSource that allows this namespace: label one, or correct matchLabels and namespaces.".to_owned(),
        ),
        (_, []) => finding(Holds::Yes, "Connected", format!("{count}.")),
    })
}
