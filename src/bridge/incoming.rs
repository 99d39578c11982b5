//! One message of a client as it came over HTTP, checked as far as any message can be.

use axum::{body::Bytes, extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use http_body_util::LengthLimitError;
use serde_json::value::RawValue;

use super::{
    reply,
    session::{MESSAGE_LIMIT, envelope},
};
use crate::gateway::wire::{
    RpcError,
    text::{Head, Message},
};

pub(super) const SESSION_HEADER: HeaderName = HeaderName::from_static(reply::SESSION);
/// The answer to `server/discover`, too: an error of this code tells a modern client to initialize.
const INITIALIZE_FIRST: &str =
    "there is no session: this server speaks MCP up to 2025-11-25, send initialize first";

/// The body of a POST: UTF-8, no longer than a message may be.
pub(super) struct Posted {
    pub(super) parts: Parts,
    body: Bytes,
}

/// What a POST says.
pub(super) enum Sent<'a> {
    Request {
        id: &'a RawValue,
        head: Head<'a>,
        text: &'a str,
    },
    /// A notification, or an answer to a question of the server.
    Told {
        head: Head<'a>,
        text: &'a str,
    },
}

impl Posted {
    /// # Errors
    /// The answer to whoever sent something else.
    pub(super) async fn read(request: Request) -> Result<Self, Box<Response>> {
        let refused =
            |status, message: &str| Box::new(reply::error(status, None, RpcError::INVALID_REQUEST, message));
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let message = "a message must be sent as application/json";
            return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let error = match axum::body::to_bytes(body, MESSAGE_LIMIT).await {
            Ok(body) => return Ok(Self { parts, body }),
            Err(error) => error,
        };
        let too_large = std::error::Error::source(&error).is_some_and(|cause| cause.is::<LengthLimitError>());
        let mut response = if too_large {
            let message = format!("the message has more than {MESSAGE_LIMIT} bytes: send less");
            refused(StatusCode::PAYLOAD_TOO_LARGE, &message)
        } else {
            let message = format!("the message did not arrive whole ({error}): send it again");
            refused(StatusCode::BAD_REQUEST, &message)
        };
        // The rest of the body is not read, so nobody may use this connection again.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        Err(response)
    }

    /// # Errors
    /// The answer to whoever sent no message.
    pub(super) fn message(&self) -> Result<Sent<'_>, Box<Response>> {
        let bad = |code, message: &str| Box::new(reply::error(StatusCode::BAD_REQUEST, None, code, message));
        let text =
            std::str::from_utf8(&self.body).map_err(|_| bad(RpcError::PARSE, "the message is not UTF-8"))?;
        let head = envelope(text).map_err(|error| {
            bad(RpcError::PARSE, &format!("the message is not one JSON-RPC object ({error})"))
        })?;
        match (head.message(), head.id) {
            (Some(_), Some(id)) if !is_id(id) => {
                Err(bad(RpcError::INVALID_REQUEST, "the id must be a string or a number"))
            }
            (Some(Message::Request), Some(id)) => Ok(Sent::Request { id, head, text }),
            (Some(Message::Notification | Message::Response), _) => Ok(Sent::Told { head, text }),
            _ => Err(bad(RpcError::INVALID_REQUEST, "the message has neither a method nor an answer")),
        }
    }

    /// Whether its client reads a stream as an answer.
    pub(super) fn streams(&self) -> bool {
        accepts(&self.parts.headers, "text/event-stream")
    }
}

/// What a request gets that needs an `initialize` before it.
pub(super) fn initialize_first(id: &RawValue) -> Response {
    reply::error(StatusCode::BAD_REQUEST, Some(id), RpcError::METHOD_NOT_FOUND, INITIALIZE_FIRST)
}

/// The answer to a GET that does not want a stream.
pub(super) fn wants_stream(headers: &HeaderMap) -> Result<(), Box<Response>> {
    if accepts(headers, "text/event-stream") {
        return Ok(());
    }
    let message = "this address answers GET with a stream: accept text/event-stream";
    Err(Box::new(reply::error(StatusCode::NOT_ACCEPTABLE, None, RpcError::INVALID_REQUEST, message)))
}

fn is_id(id: &RawValue) -> bool {
    id.get().starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').filter_map(|part| part.split(';').next()).any(|part| {
            let part = part.trim().to_ascii_lowercase();
            part == kind || part == "*/*" || part == "text/*"
        })
    })
}
