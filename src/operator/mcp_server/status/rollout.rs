//! Conditions that are there only where their feature is used: a gated rollout, headers from Secrets.

use super::{
    Situation,
    conditions::{Finding, Holds},
};
use crate::{
    api::{MCPServer, mcp_server::ConditionType},
    operator::mcp_server::rollout::{Held, Standing},
};

pub(super) fn held(situation: &Situation<'_>) -> Option<Finding> {
    let Situation::Workload { standing: Standing::Gated { held, again: _ }, .. } = situation else {
        return None;
    };
    let (holds, reason, message) = match held {
        Some(Held { reason, message }) => (Holds::Yes, *reason, message.clone()),
        None => (Holds::No, "NotHeld", "No revision is held back.".to_owned()),
    };
    Some(Finding { type_: ConditionType::RolloutHeld, holds, reason: reason.to_owned(), message })
}

pub(super) fn unread(server: &MCPServer, situation: &Situation<'_>) -> Option<Finding> {
    let Situation::Remote { unread, .. } = situation else { return None };
    let remote = server.spec.remote.as_ref()?;
    if remote.headers_from.is_empty() {
        return None;
    }
    let (holds, reason, message) = match unread {
        Some(why) => (Holds::Yes, "HeaderWithoutValue", format!("{why}. It is not connected to until then.")),
        None => (Holds::No, "Readable", "The values of its headers can be read.".to_owned()),
    };
    Some(Finding { type_: ConditionType::SecretsNotReadable, holds, reason: reason.to_owned(), message })
}
