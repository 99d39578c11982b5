//! The edge before and behind rmcp's Streamable HTTP service: requests become [carriers](super::carrier) on
//! their way in, and what carriers hold is put back on the way out.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use serde_json::value::RawValue;
use tower::Service;

use super::{
    Raw, RpcError,
    body::{self, Patience, Unread},
    carrier::{self, Slot},
    headers,
    intake::{self, Malformed},
    rejected::Reason,
    text::{Fields, Head},
};

/// The input schema of the tool of that name, as the caller of the request sees it.
pub type Schemas = Arc<dyn Fn(&Parts, &str) -> Option<Raw> + Send + Sync>;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Wraps rmcp's `StreamableHttpService`.
#[derive(Clone)]
pub struct Edge<S> {
    inner: S,
    limit: usize,
    patience: Patience,
    schemas: Schemas,
}

impl<S> Edge<S> {
    /// Bodies longer than `limit` bytes are refused with 413, those slower than `patience` with 408. Refusals have their
    /// [`Reason`] in their extensions.
    pub fn new(inner: S, limit: usize, patience: Patience, schemas: Schemas) -> Self {
        Self { inner, limit, patience, schemas }
    }
}

impl<S, B> Service<Request<B>> for Edge<S>
where
    S: Service<Request<Full<Bytes>>, Response = Answer, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut inner = self.inner.clone();
        let (limit, patience, schemas) = (self.limit, self.patience, self.schemas.clone());
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            if parts.method != Method::POST {
                let ends_session = parts.method == Method::DELETE;
                let mut answer = inner.call(Request::from_parts(parts, Full::default())).await?;
                // rmcp says 202, which some clients take for a session that did not end.
                if ends_session && answer.status() == StatusCode::ACCEPTED {
                    *answer.status_mut() = StatusCode::NO_CONTENT;
                }
                return Ok(outward(answer, None).await);
            }
            let body = match body::whole(body, limit, patience).await {
                Ok(body) => body,
                Err(unread) => return Ok(Refusal::from(unread).into_answer()),
            };
            let (body, slot) = match inward(&mut parts, body, &schemas) {
                Ok(inward) => inward,
                Err(refusal) => return Ok(refusal.into_answer()),
            };
            let answer = inner.call(Request::from_parts(parts, Full::new(body))).await?;
            Ok(outward(answer, slot).await)
        })
    }
}

/// Why a message does not reach rmcp.
struct Refusal {
    status: StatusCode,
    reason: Reason,
    /// A JSON-RPC error.
    text: String,
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        let code = match unread {
            Unread::TooLarge(_) => RpcError::INVALID_REQUEST,
            Unread::TooSlow | Unread::Broken(_) => RpcError::PARSE,
        };
        let text = carrier::refusal(None, code, &unread.to_string());
        Self { status: unread.status(), reason: unread.reason(), text }
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: malformed.reason, text: malformed.refusal() }
    }
}

impl Refusal {
    fn into_answer(self) -> Answer {
        let Self { status, reason, text } = self;
        let mut answer = Response::new(Full::new(Bytes::from(text)).boxed());
        *answer.status_mut() = status;
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.extensions_mut().insert(reason);
        answer
    }
}

/// What rmcp is to see of a message. Puts what is carried into the extensions.
fn inward(parts: &mut Parts, body: Bytes, schemas: &Schemas) -> Result<(Bytes, Option<Slot>), Refusal> {
    let text = std::str::from_utf8(&body).map_err(|_| Malformed::not_text())?;
    let head = intake::read(text)?;
    let Some(wrapped) = carrier::wrap(&head) else { return Ok((body, None)) };
    let Some(mut carried) = wrapped.carried else { return Ok((wrapped.text.into(), None)) };
    let mut slot = None;
    if headers::are_modern(&parts.headers) {
        let schema = called_tool(&head).and_then(|tool| schemas(parts, &tool));
        headers::check(&parts.headers, &head, schema.as_deref().map(RawValue::get)).map_err(|message| {
            let text = carrier::refusal(head.id.map(RawValue::get), RpcError::HEADER_MISMATCH, &message);
            Refusal { status: StatusCode::BAD_REQUEST, reason: Reason::Headers, text }
        })?;
        // Nothing is replayed to modern clients, so the result need not pass through rmcp.
        slot = Some(Slot::default());
        carried.slot.clone_from(&slot);
        parts.headers.insert(headers::METHOD, HeaderValue::from_static(carrier::METHOD));
        parts.headers.remove(headers::NAME);
    }
    parts.extensions.insert(carried);
    Ok((wrapped.text.into(), slot))
}

fn called_tool(head: &Head<'_>) -> Option<String> {
    if head.method.as_deref() != Some("tools/call") {
        return None;
    }
    Fields::of(head.params).ok()?.get_str("name")
}

/// Puts back what an answer carries: a JSON body as a whole, a stream event by event.
async fn outward(answer: Answer, slot: Option<Slot>) -> Answer {
    let kind =
        answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/event-stream") {
        return answer.map(|body| {
            // rmcp writes every event as one frame.
            body.map_frame(move |frame: Frame<Bytes>| {
                frame.map_data(|data| event(&data, slot.as_ref()).map_or(data, Bytes::from))
            })
            .boxed()
        });
    }
    if !kind.starts_with("application/json") {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes);
    let text = std::str::from_utf8(&body).ok().and_then(|text| carrier::unwrap_with(text, slot.as_ref()));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Full::new(text.map_or(body, Bytes::from)).boxed())
}

/// One event with its data unwrapped; `None` when it carries nothing.
fn event(event: &[u8], slot: Option<&Slot>) -> Option<String> {
    let event = std::str::from_utf8(event).ok()?;
    let data = event.lines().find_map(|line| line.strip_prefix("data:"))?;
    let unwrapped = carrier::unwrap_with(data.trim_start(), slot)?;
    let mut text = String::with_capacity(event.len() + unwrapped.len());
    for line in event.lines() {
        if line.starts_with("data:") {
            text.push_str("data: ");
            text.push_str(&unwrapped);
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn an_event_keeps_its_other_lines() {
        let text = "id: 0/1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"{\\\"n\\\": 1.0}\"}\n\n";
        let out = event(text.as_bytes(), None);
        assert_eq!(
            out.as_deref(),
            Some("id: 0/1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"n\": 1.0}}\n\n")
        );
    }

    #[test]
    fn an_event_that_carries_nothing_is_left_alone() {
        assert_eq!(event(b": keep-alive\n\n", None), None);
        assert_eq!(event(b"data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n", None), None);
    }
}
