//! Whether the server answers MCP, and whether its tools are offered: what the gateway of this replica has seen.

use super::conditions::{Finding, Holds};
use crate::{
    api::mcp_server::ConditionType,
    fleet::{Observation, State},
    operator::offered::offered,
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

/// `taken`: an older MCPPool has the server's name.
pub(super) fn registered(observation: Option<&Observation>, taken: bool) -> Finding {
    let found = |holds, reason: &str, message: String| Finding {
        type_: ConditionType::Registered,
        holds,
        reason: reason.to_owned(),
        message,
    };
    if taken {
        let message = "An MCPPool that is older has the same name: rename one of them.";
        return found(Holds::No, "NameTaken", message.to_owned());
    }
    match observation.map(|seen| (&seen.state, seen)) {
        Some((State::Ready | State::Asleep, seen)) => match &seen.pool {
            None => found(Holds::Yes, "Registered", offered(seen)),
            Some(pool) => {
                let message =
                    format!("Presented by the MCPPool {}, not by itself: {}", pool.name, offered(seen));
                found(Holds::Yes, "InPool", message)
            }
        },
        Some((State::PrefixTaken { by }, seen)) => {
            let whose = match &seen.pool {
                None => String::new(),
                Some(pool) => format!(" of the MCPPool {}", pool.name),
            };
            let message = format!(
                "The prefix{whose} is held by {by}, which is older: set another spec.gateway.prefix."
            );
            found(Holds::No, "PrefixTaken", message)
        }
        Some((State::Connecting | State::Unreachable { .. }, _)) | None => found(
            Holds::No,
            "NotVerified",
            "Its tools are offered as soon as it answers: the condition Verified says how it stands."
                .to_owned(),
        ),
    }
}
