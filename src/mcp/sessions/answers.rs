//! What a client hears when a request does not get through to its session.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde_json::json;

use crate::gateway::wire::{RpcError, rejected::Reason, text::Head};

pub(in crate::mcp) fn refused(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

/// A message that is not taken, counted by `reason`.
pub(in crate::mcp) fn not_taken(status: StatusCode, reason: Reason, why: &str) -> Response {
    let mut response = refused(status, why);
    response.extensions_mut().insert(reason);
    response
}

pub(in crate::mcp) fn not_open() -> Response {
    let why = "Not Found: this session is not open: begin with initialize";
    not_taken(StatusCode::NOT_FOUND, Reason::Session, why)
}

/// To another replica alone: the session it asked for is not here, or may not stay.
pub(in crate::mcp) fn misdirected() -> Response {
    refused(StatusCode::MISDIRECTED_REQUEST, "this session is not here")
}

/// The JSON-RPC error for the request in `body`; nothing when it is none.
fn error(body: &[u8], why: &str) -> Option<String> {
    let head = Head::parse(std::str::from_utf8(body).ok()?).ok()?;
    let id = head.id.filter(|_| head.method.is_some())?;
    let message = format!(
        "the replica of pilothouse that ran this was lost ({why}): see whether it was done, then send it again"
    );
    let RpcError(error) = RpcError::with_data(RpcError::INTERNAL, &message, json!({ "retryable": true }));
    Some(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, id.get(), error.get()))
}

/// When the replica that has the session may have acted on the request, and did not answer.
pub(in crate::mcp) fn lost(body: &[u8], why: &str) -> Response {
    match error(body, why) {
        Some(text) => {
            let mut response = Response::new(Body::from(text));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        None => refused(StatusCode::BAD_GATEWAY, "Bad Gateway: the replica that has this session was lost"),
    }
}

/// The other replica's answer; when it breaks off, a stream ends with an error for the request in `body`.
pub(super) fn whole(response: Response, body: Bytes) -> Response {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return response;
    }
    response.map(|answer| {
        let events = answer.into_data_stream().scan(false, move |broken, piece| {
            let next = match piece {
                _ if *broken => None,
                Ok(piece) => Some(Ok::<_, axum::Error>(piece)),
                Err(why) => {
                    *broken = true;
                    // Before it a line may have been cut.
                    let event = error(&body, &why.to_string());
                    event.map(|event| Ok(Bytes::from(format!("\n\nevent: message\ndata: {event}\n\n"))))
                }
            };
            std::future::ready(next)
        });
        Body::from_stream(events)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::{body::Body, response::Response};
    use bytes::Bytes;
    use futures::stream;
    use http_body_util::BodyExt;

    use super::{lost, whole};

    const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":"a-7","method":"tools/call","params":{"name":"x"}}"#;

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_call_that_is_lost_ends_in_an_error_that_says_to_try_again() {
        let said = text(lost(CALL, "it was killed")).await;
        assert!(said.contains(r#""id":"a-7""#) && said.contains(r#""retryable":true"#), "{said}");
        let answer = br#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(lost(answer, "it was killed").status(), 502, "an answer has no answer");
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_ends_with_the_error() {
        let pieces = [Ok(Bytes::from(": keep\n\n")), Err(std::io::Error::other("cut"))];
        let response = Response::builder()
            .header("content-type", "text/event-stream")
            .body(Body::from_stream(stream::iter(pieces)))
            .unwrap();
        let said = text(whole(response, Bytes::from_static(CALL))).await;
        assert!(said.starts_with(": keep\n\n"), "{said}");
        assert_eq!(said.matches(r#""retryable":true"#).count(), 1, "{said}");
    }
}
