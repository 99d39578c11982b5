//! What the bridge itself answers over HTTP.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{json, value::RawValue};

use crate::gateway::wire::{RpcError, text};

/// The header that carries a session's id.
pub(super) const SESSION: &str = "mcp-session-id";

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
    let error = RpcError::new(code, message);
    text::raw(&json!({ "jsonrpc": "2.0", "id": id, "error": error.0 })).get().to_owned()
}
