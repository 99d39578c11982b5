//! The way out: what is recorded before a request runs, and the one step every answer passes.

use aws_lc_rs::digest::{SHA256, digest as hash};

use super::own::Asked;
use crate::{
    audit::{Audit, Line},
    gateway::wire::{Raw, RpcError, text::Fields},
};

/// SHA-256 as 64 hex digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(hash(&SHA256, bytes))
}

/// Records a request that reads or calls something. Lists and completions are not recorded.
///
/// # Errors
/// When the record cannot be written: the request must then not run.
pub(super) fn record(audit: &Audit, asked: &Asked<'_>, decision: &str) -> Result<(), RpcError> {
    if !matches!(asked.method, "tools/call" | "prompts/get" | "resources/read") {
        return Ok(());
    }
    let mut line = Line::now(asked.caller, asked.method, asked.name, decision);
    line.arguments_digest = Fields::of(asked.params)
        .ok()
        .and_then(|params| params.get("arguments").map(|arguments| digest(arguments.get().as_bytes())));
    audit.queue(line).map_err(|error| RpcError::new(RpcError::INTERNAL, &format!("refused: {error}")))
}

/// The last step of every answer on its way to a client (promise P4).
pub(super) fn redacted(answer: Raw) -> Raw {
    answer
}
