//! What becomes of a call whose connection was lost under it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json, value::RawValue};

use super::{
    link::Fault,
    wire::{
        Raw,
        text::{Fields, raw},
    },
};

/// Tries of one call that never reached its server, the first included: it may be restarting.
pub(super) const TRIES: usize = 3;

/// A server that was called so shortly before is waited for when its connection is lost: it may be restarting.
const LATELY: Duration = Duration::from_secs(60);

/// When a call last had a connection.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<Option<Instant>>);

impl Lately {
    fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    pub(super) fn met(&self) {
        self.set(Some(Instant::now()));
    }

    /// It was waited for in vain: those who come now are told at once.
    pub(super) fn is_gone(&self) {
        self.set(None);
    }

    pub(super) fn may_be_back(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < LATELY)
    }
}

/// Whether it does no harm to send a request again that the server may have acted on. `tool` is the definition of the
/// tool that is called.
pub(super) fn is_repeatable(method: &str, tool: Option<&RawValue>) -> bool {
    if method != "tools/call" {
        // All others read, or ask for what is so already.
        return true;
    }
    let Some(tool) = tool.and_then(|tool| Fields::parse(tool.get()).ok()) else { return false };
    let Ok(hints) = Fields::of(tool.get("annotations")) else { return false };
    let says = |hint: &str| hints.get(hint).is_some_and(|value| value.get() == "true");
    says("readOnlyHint") || says("idempotentHint")
}

/// For programs: whether a call that failed may be sent again, and whether it may have been done. Nothing where sending
/// it again would fail again.
pub(super) fn retry(fault: &Fault) -> Option<Value> {
    match fault {
        Fault::Ended(_) => Some(json!({ "retryable": true, "mayHaveRun": true })),
        Fault::SessionGone | Fault::Unreachable(_) => Some(later()),
        Fault::TooLarge | Fault::Garbage(_) | Fault::Refused { .. } | Fault::Unsendable(_) => None,
    }
}

/// Of a call that was never sent.
pub(super) fn later() -> Value {
    json!({ "retryable": true, "mayHaveRun": false })
}

/// The error result of a tool with what [`retry`] says.
pub(super) fn with_retry(result: Raw, retry: Option<Value>) -> Raw {
    let (Some(retry), Ok(mut fields)) = (retry, Fields::parse(result.get())) else { return result };
    fields.set("_meta", raw(&json!({ "pilothouse.dev/retry": retry })));
    fields.to_raw()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{json, value::RawValue};

    use super::{is_repeatable, raw, retry, with_retry};
    use crate::gateway::link::Fault;

    #[test]
    fn only_what_does_no_harm_is_sent_again() {
        for (tool, repeatable) in [
            (json!({ "name": "t", "annotations": { "readOnlyHint": true } }), true),
            (json!({ "name": "t", "annotations": { "readOnlyHint": false, "idempotentHint": true } }), true),
            (json!({ "name": "t", "annotations": { "idempotentHint": "true" } }), false),
            (json!({ "name": "t", "annotations": { "destructiveHint": false } }), false),
            (json!({ "name": "t" }), false),
        ] {
            assert_eq!(is_repeatable("tools/call", Some(raw(&tool).as_ref())), repeatable, "{tool}");
        }
        assert!(!is_repeatable("tools/call", None::<&RawValue>));
        assert!(is_repeatable("resources/read", None));
    }

    #[test]
    fn a_program_is_told_whether_to_try_again() {
        let ended = retry(&Fault::Ended("cut".to_owned()));
        assert_eq!(ended, Some(json!({ "retryable": true, "mayHaveRun": true })));
        assert_eq!(retry(&Fault::TooLarge), None);
        let result = with_retry(raw(&json!({ "content": [], "isError": true })), ended);
        assert_eq!(
            result.get(),
            r#"{"content":[],"isError":true,"_meta":{"pilothouse.dev/retry":{"retryable":true,"mayHaveRun":true}}}"#
        );
        assert_eq!(with_retry(raw(&json!({ "content": [] })), None).get(), r#"{"content":[]}"#);
    }
}
