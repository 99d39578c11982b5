//! The way out: what is recorded before a request runs and when its answer leaves, and the one step every answer
//! passes.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use aws_lc_rs::digest::{SHA256, digest as hash};
use serde_json::value::RawValue;

use super::own::Asked;
use crate::{
    answer::Budget,
    audit::{Audit, Call, Footprint, Line, Object, Outcome},
    gateway::wire::{
        Raw, RpcError,
        text::{Fields, raw},
    },
    redact::{self, Redacted},
};

/// SHA-256 as 64 hex digits.
fn digest(bytes: &[u8]) -> String {
    hex::encode(hash(&SHA256, bytes))
}

/// What is called: an entry of ours, or one of the server that is named.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of<'a> {
    Ours,
    Server { namespace: &'a str, name: &'a str },
}

/// The line of a request that reads or calls something; the others are not recorded: lists and completions.
fn line(asked: &Asked<'_>, decision: &str) -> Option<Line> {
    if !matches!(asked.method, "tools/call" | "prompts/get" | "resources/read")
        && !asked.method.starts_with("tasks/")
    {
        return None;
    }
    let mut line = Line::now(asked.caller, asked.method, asked.name, decision);
    line.arguments_digest = Fields::of(asked.params)
        .ok()
        .and_then(|params| params.get("arguments").map(|arguments| digest(arguments.get().as_bytes())));
    Some(line)
}

/// The object that the arguments of a tool of ours name.
fn object(params: Option<&RawValue>) -> Option<Object> {
    let params = Fields::of(params).ok()?;
    let arguments = Fields::parse(params.get("arguments")?.get()).ok()?;
    let text = |name| arguments.get_str(name).filter(|text: &String| !text.is_empty());
    let kind = text("kind").or_else(|| text("pod").map(|_| "Pod".to_owned()))?;
    let name = text("name").or_else(|| text("pod")).unwrap_or_default();
    Some(Object::new(&kind, text("namespace").as_deref(), &name))
}

/// Records a request that is refused.
///
/// # Errors
/// When the record cannot be written.
pub(super) fn refuse(audit: &Audit, asked: &Asked<'_>, decision: &str) -> Result<(), RpcError> {
    line(asked, decision).map_or(Ok(()), |line| audit.queue(line)).map_err(unrecorded)
}

fn unrecorded(error: impl std::fmt::Display) -> RpcError {
    RpcError::new(RpcError::INTERNAL, &format!("refused: {error}"))
}

/// How everything that one request brings leaves: redacted, but where the MCPServer that answers it says that its
/// answers hold no secrets. And what stands on record of it: a request that was let through has a second line when
/// its answer leaves, or when it ends without one.
#[derive(Debug, Default)]
pub(super) struct WayOut {
    as_it_is: AtomicBool,
    begun: OnceLock<Begun>,
    /// What the cluster was asked for on the way.
    pub(super) footprint: Footprint,
}

#[derive(Debug)]
struct Begun {
    audit: Audit,
    line: Line,
    ended: AtomicBool,
}

impl WayOut {
    /// Records a request that is let through, before it runs.
    ///
    /// # Errors
    /// When the record cannot be written: the request must then not run.
    pub(super) fn begin(&self, audit: &Audit, asked: &Asked<'_>, of: Of<'_>) -> Result<(), RpcError> {
        let Some(line) = line(asked, "allowed") else { return Ok(()) };
        let mut line = line.of_call(&Call::next());
        match of {
            Of::Ours => line.objects.extend(object(asked.params)),
            Of::Server { namespace, name } => {
                line = line.on(Object::new("MCPServer", Some(namespace), name)).verbs(["call"]);
            }
        }
        audit.queue(line.clone()).map_err(unrecorded)?;
        // One request is begun once.
        let _ = self.begun.set(Begun { audit: audit.clone(), line, ended: AtomicBool::new(false) });
        Ok(())
    }

    /// What comes from now on needs no redaction.
    pub(super) fn leave_as_it_is(&self) {
        self.as_it_is.store(true, Ordering::Relaxed);
    }

    pub(super) fn take(&self, text: Raw) -> Raw {
        self.taken(text).0
    }

    /// And how many secrets were taken out of it.
    fn taken(&self, text: Raw) -> (Raw, usize) {
        if self.as_it_is.load(Ordering::Relaxed) { (text, 0) } else { redacted(text) }
    }

    /// The answer, which is the last that leaves. It says how much of it was taken out.
    pub(super) fn answer(&self, result: Raw) -> Raw {
        let (result, count) = self.taken(result);
        let result = if count > 0 { counted(result, count) } else { result };
        let decision = if is_error(&result) { "failed" } else { "answered" };
        self.end(decision, Some(&result));
        result
    }

    /// The error that stands in its place.
    pub(super) fn error(&self, error: Raw) -> Raw {
        let error = self.take(error);
        self.end("failed", Some(&error));
        error
    }

    fn end(&self, decision: &str, left: Option<&RawValue>) {
        let Some(Begun { audit, line, ended }) = self.begun.get() else { return };
        if ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let outcome = left.map(|left| Outcome {
            tokens: Budget::estimate(left.get()),
            redactions: left.get().matches("<redacted:").count(),
        });
        let (objects, verbs) = self.footprint.steps();
        let line = Line { objects, ..line.result(decision, outcome).verbs(verbs) };
        if let Err(error) = audit.outcome(line) {
            tracing::error!(%error, "a call ended; its end is not in the audit record");
        }
    }
}

impl Drop for WayOut {
    /// A caller that hung up gets no answer; what was begun has an end all the same.
    fn drop(&mut self) {
        self.end("abandoned", None);
    }
}

/// Whether a tool's result says that it failed.
pub(super) fn is_error(result: &RawValue) -> bool {
    result.get().contains("\"isError\"")
        && Fields::parse(result.get())
            .is_ok_and(|fields| fields.get("isError").is_some_and(|is| is.get() == "true"))
}

/// For what leaves beside an answer.
pub(super) fn clean(text: Raw) -> Raw {
    redacted(text).0
}

/// The last step of everything on its way to a client (promise P4).
///
/// A request state, a cursor and a task's id come back to whoever made them and must do so unchanged.
fn redacted(text: Raw) -> (Raw, usize) {
    let Some(Redacted { json: clean, mut count }) = redact::scan(&text) else { return (text, 0) };
    let (Ok(before), Ok(mut after)) = (Fields::parse(text.get()), Fields::parse(clean.get())) else {
        return (clean, count);
    };
    for opaque in ["requestState", "nextCursor", "taskId"] {
        if let Some(value) = before.get(opaque) {
            // What was found in it stays.
            count = count.saturating_sub(redact::scan(value).map_or(0, |found| found.count));
            after.set(opaque, value.to_owned());
        }
    }
    (after.to_raw(), count)
}

/// The member of a result's `_meta` that says how many secrets were taken out of it.
const COUNT: &str = "pilothouse.dev/redactions";

fn counted(result: Raw, count: usize) -> Raw {
    let Ok(mut fields) = Fields::parse(result.get()) else { return result };
    let meta = fields.get("_meta").map(ToOwned::to_owned);
    let Ok(mut meta) = Fields::of(meta.as_deref()) else { return result };
    meta.set(COUNT, raw(&count));
    fields.set("_meta", meta.to_raw());
    fields.to_raw()
}

#[cfg(test)]
mod tests {
    use super::{counted, redacted};
    use crate::gateway::wire::text::raw;

    #[test]
    fn secrets_stay_here_and_a_request_state_comes_back_as_it_was() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let answer = raw(&serde_json::json!({ "text": token, "requestState": token }));
        let (out, count) = redacted(answer);
        assert_eq!(count, 1);
        assert!(out.get().starts_with(r#"{"text":"<redacted:"#), "{out}");
        assert!(out.get().ends_with(&format!(r#""requestState":"{token}"}}"#)), "{out}");
    }

    #[test]
    fn a_result_says_how_much_was_taken_out_of_it() {
        let result = raw(&serde_json::json!({ "content": [], "_meta": { "x": 1 } }));
        assert_eq!(
            counted(result, 2).get(),
            r#"{"content":[],"_meta":{"x":1,"pilothouse.dev/redactions":2}}"#
        );
    }
}
