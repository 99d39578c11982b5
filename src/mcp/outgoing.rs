//! The way out: what is recorded before a request runs, and the one step every answer passes.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{SHA256, digest as hash};

use super::own::Asked;
use crate::{
    audit::{Audit, Line},
    gateway::wire::{Raw, RpcError, text::Fields},
    redact,
};

/// SHA-256 as 64 hex digits.
fn digest(bytes: &[u8]) -> String {
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

/// How everything that one request brings leaves: redacted, but where the MCPServer that answers it says that its
/// answers hold no secrets.
#[derive(Debug, Default)]
pub(super) struct WayOut(AtomicBool);

impl WayOut {
    /// What comes from now on needs no redaction.
    pub(super) fn leave_as_it_is(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn take(&self, text: Raw) -> Raw {
        if self.0.load(Ordering::Relaxed) { text } else { redacted(text) }
    }
}

/// The last step of everything on its way to a client (promise P4).
///
/// A request state and a cursor come back to whoever made them and must do so unchanged.
fn redacted(text: Raw) -> Raw {
    let clean = redact::raw(text.clone());
    if clean.get() == text.get() {
        return text;
    }
    let (Ok(before), Ok(mut after)) = (Fields::parse(text.get()), Fields::parse(clean.get())) else {
        return clean;
    };
    for opaque in ["requestState", "nextCursor"] {
        if let Some(value) = before.get(opaque) {
            after.set(opaque, value.to_owned());
        }
    }
    after.to_raw()
}

#[cfg(test)]
mod tests {
    use super::redacted;
    use crate::gateway::wire::text::raw;

    #[test]
    fn secrets_stay_here_and_a_request_state_comes_back_as_it_was() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let answer = raw(&serde_json::json!({ "text": token, "requestState": token }));
        let out = redacted(answer);
        assert!(out.get().starts_with(r#"{"text":"<redacted:"#), "{out}");
        assert!(out.get().ends_with(&format!(r#""requestState":"{token}"}}"#)), "{out}");
    }
}
