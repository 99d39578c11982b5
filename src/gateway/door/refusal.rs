//! Why a call has no answer, in words for whoever asked.

use std::{num::NonZeroUsize, time::Duration};

use serde_json::json;

use crate::{
    answer::Answer,
    gateway::{
        Request,
        downstream::ServerName,
        link::Fault,
        repair,
        wire::{Era, Raw, RpcError, eras},
    },
};

/// Why a call has no answer.
pub(super) enum Refusal {
    Fault(Fault),
    NoConnection {
        obstacle: String,
    },
    /// So many may run at once.
    Crowded {
        limit: NonZeroUsize,
    },
    /// It failed several times running: nobody asks it for a while.
    Broken {
        reason: String,
    },
    /// It sleeps, and did not wake within this time.
    Asleep {
        sleeper: ServerName,
        within: Duration,
        obstacle: String,
    },
}

pub(super) fn too_slow(request: &Request, kind: &str, limit: Duration) -> RpcError {
    let Request { server, method, .. } = request;
    let message = format!(
        "server {server} did not answer {method} within {limit:?}, and the call was cancelled: ask for less at once, or raise gateway.callTimeout of {kind} {server}"
    );
    let data = json!({ "server": server.to_string(), "method": method, "limitMs": limit.as_millis() });
    RpcError::with_data(RpcError::INTERNAL, &message, data)
}

/// A model reads the text of a tool's error, while most clients hide the message of a protocol error.
pub(super) fn refused(request: &Request, kind: &str, refusal: Refusal) -> Result<Raw, RpcError> {
    let server = &request.server;
    let retry = match &refusal {
        Refusal::Fault(fault) => repair::retry(fault),
        _ => Some(repair::later()),
    };
    let message = match refusal {
        Refusal::Fault(Fault::Unsendable(sentence)) => return Err(sentence.0),
        Refusal::Fault(fault) => format!("server {server} gave no answer: {fault}"),
        Refusal::NoConnection { obstacle } => {
            format!(
                "server {server} cannot be called now: {obstacle}; see get_mcp_server, and try again later"
            )
        }
        Refusal::Crowded { limit } => {
            format!(
                "server {server} already runs {limit} calls, as many as it may at once, and others wait: try again later, or raise gateway.maxConcurrentCalls of {kind} {server}"
            )
        }
        Refusal::Broken { reason } => format!(
            "server {server} is not called for a while, since it failed several times running ({reason}): see get_mcp_server, and try again in half a minute"
        ),
        Refusal::Asleep { sleeper, within, obstacle } => format!(
            "server {server} was asleep and no pod of it answered within {within:?} ({obstacle}): see get_mcp_server, and try again or raise scaleToZero.wakeTimeout of MCPServer {sleeper}"
        ),
    };
    if request.method == "tools/call" {
        let result = repair::with_retry(Answer::error(message).into_result(), retry);
        return eras::result(&request.method, result, Era::Legacy, request.era);
    }
    let data = json!({ "server": server.to_string(), "retry": retry });
    Err(RpcError::with_data(RpcError::INTERNAL, &message, data))
}
