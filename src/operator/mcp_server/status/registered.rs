//! Whether the server answers MCP, and whether its tools are offered: what the gateway of this replica has seen.

use super::conditions::{Finding, Holds};
use crate::{
    api::mcp_server::ConditionType,
    fleet::{Observation, State},
};

pub(super) fn verified(observation: Option<&Observation>) -> Finding {
    let found = |holds, reason: &str, message: String| Finding {
        type_: ConditionType::Verified,
        holds,
        reason: reason.to_owned(),
        message,
    };
    let Some(Observation { state, server, .. }) = observation else {
        return found(Holds::Unknown, "NotTried", "No handshake was tried yet.".to_owned());
    };
    match state {
        State::Connecting => found(Holds::Unknown, "Connecting", "No handshake has ended yet.".to_owned()),
        State::Unreachable { reason } => found(Holds::No, "Unreachable", reason.clone()),
        State::Ready | State::Asleep | State::PrefixTaken { .. } => {
            let message = match server {
                Some(server) => {
                    format!("{} {} speaks MCP {}.", server.name, server.version, server.protocol_version)
                }
                None => "The server answers.".to_owned(),
            };
            found(Holds::Yes, "HandshakeSucceeded", message)
        }
    }
}

pub(super) fn registered(observation: Option<&Observation>) -> Finding {
    let found = |holds, reason: &str, message: String| Finding {
        type_: ConditionType::Registered,
        holds,
        reason: reason.to_owned(),
        message,
    };
    match observation.map(|seen| (&seen.state, seen)) {
        Some((State::Ready | State::Asleep, seen)) => found(Holds::Yes, "Registered", offered(seen)),
        Some((State::PrefixTaken { by }, _)) => found(
            Holds::No,
            "PrefixTaken",
            format!("The prefix is held by {by}, which is older: set another spec.gateway.prefix."),
        ),
        Some((State::Connecting | State::Unreachable { .. }, _)) | None => found(
            Holds::No,
            "NotVerified",
            "Its tools are offered as soon as it answers: the condition Verified says how it stands."
                .to_owned(),
        ),
    }
}

fn offered(observation: &Observation) -> String {
    let tools = match observation.tools.len() {
        1 => "1 tool is offered.".to_owned(),
        count => format!("{count} tools are offered."),
    };
    let tools = match observation.changed.as_slice() {
        [] => tools,
        [first, ..] => format!(
            "{tools} {} changed since they were registered, the first: {first}.",
            observation.changed.len()
        ),
    };
    match observation.dropped.as_slice() {
        [] => tools,
        [first] => format!("{tools} 1 entry was left out: {first}"),
        [first, ..] => {
            format!("{tools} {} entries were left out, the first: {first}", observation.dropped.len())
        }
    }
}
