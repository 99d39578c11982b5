//! How all requests of all callers are treated, whatever they ask: how fast each may ask, and where their spans go.

use std::time::{Instant, SystemTime};

use super::{
    outgoing,
    own::Asked,
    rate::{Rate, RateLimit},
    trace::{Spans, Trace},
};
use crate::{
    answer::Answer,
    audit::Audit,
    gateway::wire::{Raw, RpcError, text::Fields},
};

/// By default nobody is limited and no span is collected.
#[derive(Debug, Default)]
pub struct Manners {
    rate: Option<Rate>,
    spans: Option<Spans>,
}

/// A request that is being answered. Its span ends when this is dropped, also when its client waits for it no longer.
pub(super) struct Begun<'a> {
    spans: Option<&'a Spans>,
    trace: Option<Trace>,
    asked: Asked<'a>,
    at: SystemTime,
    failed: bool,
}

impl Begun<'_> {
    pub(super) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    pub(super) fn end(mut self, failed: bool) {
        self.failed = failed;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let (Some(spans), Some(trace)) = (self.spans, self.trace.take().filter(Trace::is_sampled)) {
            let (asked, at) = (&self.asked, self.at);
            // Lost when there is no room: nobody waits for a trace.
            let _ = spans.try_send(trace.ended(asked.method, &name(asked), at, self.failed));
        }
    }
}

impl Manners {
    pub fn new(limit: Option<RateLimit>, spans: Option<Spans>) -> Self {
        Self { rate: limit.map(Rate::of), spans }
    }

    /// What is answered to somebody who asks faster than one may.
    ///
    /// # Errors
    /// The same, where there is no such result.
    pub(super) fn too_fast(&self, audit: &Audit, asked: &Asked<'_>) -> Result<Option<Raw>, RpcError> {
        let is_counted =
            matches!(asked.method, "tools/call" | "prompts/get" | "resources/read" | "completion/complete");
        let Some(rate) = self.rate.as_ref().filter(|_| is_counted) else { return Ok(None) };
        let Err(wait) = rate.take(asked.caller, Instant::now()) else { return Ok(None) };
        let named = name(asked);
        outgoing::refuse(audit, &Asked { name: &named, ..*asked }, "limited")?;
        let RateLimit { per_minute, .. } = rate.limit();
        let message = format!(
            "this was not done: you may ask {per_minute} times a minute, and asked faster; wait {:.1} s",
            wait.as_secs_f64().max(0.1)
        );
        if asked.method == "tools/call" {
            return Ok(Some(Answer::error(message).into_result()));
        }
        let data = serde_json::json!({ "retryAfterMs": wait.as_millis() });
        Err(RpcError::with_data(RpcError::INTERNAL, &message, data))
    }

    /// A trace begins here only where spans are collected.
    pub(super) fn begin<'a>(&'a self, trace: Option<Trace>, asked: Asked<'a>) -> Begun<'a> {
        let trace = trace.or_else(|| Trace::begun().filter(|_| self.spans.is_some()));
        Begun { spans: self.spans.as_ref(), trace, asked, at: SystemTime::now(), failed: false }
    }
}

/// Of the tool, prompt or resource.
fn name(asked: &Asked<'_>) -> String {
    let params = Fields::of(asked.params).ok();
    params.and_then(|params| params.get_str("name").or_else(|| params.get_str("uri"))).unwrap_or_default()
}
