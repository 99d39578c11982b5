//! What the bridge itself answers over HTTP.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::value::RawValue;

use crate::gateway::wire::{Raw, RpcError, text::Fields};

/// The header that carries a session's id.
pub(super) const SESSION: &str = "mcp-session-id";

pub(super) const ID_IN_USE: &str = "a request with this id is still open in the session: use another id";

/// One JSON-RPC message as it came.
pub(super) fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], Body::from(text)).into_response()
}

/// A JSON-RPC error of ours; `id` is that of the request when it could be read.
pub(super) fn error(status: StatusCode, id: Option<&RawValue>, code: i32, message: &str) -> Response {
    let mut response = json(error_text(id, code, message));
    *response.status_mut() = status;
    response
}

pub(super) fn error_text(id: Option<&RawValue>, code: i32, message: &str) -> String {
    message_text(id, "error", RpcError::new(code, message).0)
}

pub(super) fn result_text(id: &RawValue, result: Raw) -> String {
    message_text(Some(id), "result", result)
}

/// As text: an id may be a number that no type of ours holds.
fn message_text(id: Option<&RawValue>, member: &str, value: Raw) -> String {
    let mut message = Fields::default();
    message.set_str("jsonrpc", "2.0");
    message.set("id", id.map_or_else(|| RawValue::NULL.to_owned(), ToOwned::to_owned));
    message.set(member, value);
    message.to_raw().get().to_owned()
}
