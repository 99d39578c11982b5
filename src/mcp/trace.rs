//! The trace that a request is part of (W3C Trace Context): taken from its `_meta` or its HTTP headers, continued with
//! a span of ours, and given on to the server that is called.

use std::time::SystemTime;

use http::HeaderMap;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::gateway::wire::{
    Raw,
    text::{Fields, string},
};

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// One span of ours, begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    /// 32 hex digits.
    id: String,
    /// 16 hex digits: the span that caused ours; nothing when the trace begins here.
    parent: Option<String>,
    /// 16 hex digits: ours.
    span: String,
    /// Two hex digits, as they came.
    flags: String,
    /// Of other vendors; as it came.
    state: Option<String>,
}

/// A span of ours that has ended, for whoever collects them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: Option<String>,
    /// The method and what it was for: `tools/call git_log`.
    pub name: String,
    pub method: String,
    pub begin: SystemTime,
    pub end: SystemTime,
    pub failed: bool,
}

/// Where ended spans go; those for which there is no room are lost.
pub type Spans = mpsc::Sender<Span>;

impl Trace {
    /// The span that continues what the request says; `_meta` goes before headers.
    pub(super) fn continued(params: Option<&RawValue>, headers: Option<&HeaderMap>) -> Option<Self> {
        let params = Fields::of(params).ok();
        let meta = params.as_ref().and_then(|params| Fields::parse(params.get("_meta")?.get()).ok());
        let of_meta = meta.and_then(|meta| Self::child(&meta.get_str(PARENT)?, meta.get_str(STATE)));
        of_meta.or_else(|| {
            let text = |name| headers?.get(name)?.to_str().ok();
            Self::child(text(PARENT)?, text(STATE).map(str::to_owned))
        })
    }

    /// A trace that begins with us.
    pub(super) fn begun() -> Option<Self> {
        let (id, span) = (random::<16>()?, random::<8>()?);
        Some(Self { id, parent: None, span, flags: "01".to_owned(), state: None })
    }

    /// Nothing when it is not what the standard says.
    fn child(parent: &str, state: Option<String>) -> Option<Self> {
        let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let is_some = |text: &str| text.bytes().any(|b| b != b'0');
        let mut parts = parent.split('-');
        let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_legal = [version, id, span, flags].into_iter().all(is_hex)
            && (version.len(), id.len(), span.len(), flags.len()) == (2, 32, 16, 2)
            && version != "ff"
            && is_some(id)
            && is_some(span)
            // Later versions may have more.
            && (version != "00" || parts.next().is_none());
        let own = random::<8>().filter(|_| is_legal)?;
        let state = state.filter(|state| state.len() <= 512);
        Some(Self {
            id: id.to_owned(),
            parent: Some(span.to_owned()),
            span: own,
            flags: flags.to_owned(),
            state,
        })
    }

    /// Whether whoever began it wants it collected.
    pub(super) fn is_sampled(&self) -> bool {
        u8::from_str_radix(&self.flags, 16).is_ok_and(|flags| flags & 1 == 1)
    }

    /// The params for the server that is called: its span is a child of ours.
    pub(super) fn give_on(&self, params: Raw) -> Raw {
        let Ok(mut fields) = Fields::parse(params.get()) else { return params };
        let meta = fields.get("_meta").map(ToOwned::to_owned);
        let Ok(mut meta) = Fields::of(meta.as_deref()) else { return params };
        let Self { id, parent: _, span, flags, state } = self;
        meta.set(PARENT, string(&format!("00-{id}-{span}-{flags}")));
        match state {
            Some(state) => meta.set(STATE, string(state)),
            None => {
                meta.remove(STATE);
            }
        }
        let meta = meta.to_raw();
        fields.set("_meta", meta);
        fields.to_raw()
    }

    pub(super) fn ended(self, method: &str, name: &str, begin: SystemTime, failed: bool) -> Span {
        let Self { id, parent, span, flags: _, state: _ } = self;
        Span {
            trace: id,
            id: span,
            parent,
            name: format!("{method} {name}").trim_end().to_owned(),
            method: method.to_owned(),
            begin,
            end: SystemTime::now(),
            failed,
        }
    }
}

fn random<const BYTES: usize>() -> Option<String> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderMap;
    use serde_json::{Value, json};

    use super::Trace;
    use crate::gateway::wire::text::raw;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_server_gets_the_same_trace_with_our_span_as_parent() {
        let params =
            raw(&json!({ "name": "x", "_meta": { "traceparent": PARENT, "tracestate": "a=1", "k": 2.50 } }));
        let trace = Trace::continued(Some(&params), None).unwrap();
        assert_eq!(trace.parent.as_deref(), Some("00f067aa0ba902b7"));
        assert!(trace.is_sampled());
        let on: Value = serde_json::from_str(trace.give_on(params).get()).unwrap();
        let parent = on["_meta"]["traceparent"].as_str().unwrap();
        assert!(
            parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parent.ends_with("-01"),
            "{parent}"
        );
        assert!(!parent.contains("00f067aa0ba902b7") && parent.contains(&trace.span));
        assert_eq!((&on["_meta"]["tracestate"], &on["_meta"]["k"]), (&json!("a=1"), &json!(2.50)));
    }

    #[test]
    fn headers_do_where_meta_says_nothing_and_what_is_not_legal_is_no_trace() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", PARENT.replace("-01", "-00").parse().unwrap());
        let trace = Trace::continued(None, Some(&headers)).unwrap();
        assert!(!trace.is_sampled());
        let on: Value = serde_json::from_str(trace.give_on(raw(&json!({}))).get()).unwrap();
        assert!(on["_meta"]["traceparent"].as_str().unwrap().ends_with("-00"));
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            let params = raw(&json!({ "_meta": { "traceparent": wrong } }));
            assert_eq!(Trace::continued(Some(&params), None), None, "{wrong}");
        }
        assert_eq!(Trace::begun().unwrap().parent, None);
    }
}
