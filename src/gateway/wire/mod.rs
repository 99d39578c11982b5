//! Envelopes as they came: JSON-RPC texts are read one object level at a time and written back byte for byte
//! but for what must be renamed.

pub mod body;
pub mod carrier;
pub mod edge;
pub mod eras;
pub mod events;
pub mod headers;
pub mod intake;
pub mod lines;
pub mod rejected;
pub mod table;
pub mod text;

use serde_json::{json, value::RawValue};
use tokio::sync::oneshot;

/// A JSON value as the text it came in.
pub type Raw = Box<RawValue>;

/// Which of the two families of MCP revisions a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    /// Up to 2025-11-25: sessions and `initialize`.
    Legacy,
    /// From 2026-07-28: stateless, `server/discover`.
    Modern,
}

/// A JSON-RPC error object as the text it came in, or as we wrote it.
#[derive(Clone, Debug)]
pub struct RpcError(pub Raw);

impl RpcError {
    pub const PARSE: i32 = -32700;
    pub const INVALID_REQUEST: i32 = -32600;
    pub const METHOD_NOT_FOUND: i32 = -32601;
    pub const INVALID_PARAMS: i32 = -32602;
    pub const INTERNAL: i32 = -32603;
    /// Headers of an HTTP request and its body do not agree (modern).
    pub const HEADER_MISMATCH: i32 = -32020;
    /// A resource does not exist (legacy; modern peers get [`Self::INVALID_PARAMS`]).
    pub const RESOURCE_NOT_FOUND: i32 = -32002;
    /// The client did not declare what the request takes (modern).
    pub const MISSING_CAPABILITY: i32 = -32021;
    /// The user must open a URL first (legacy; there is no such error for modern peers).
    pub const URL_ELICITATION_REQUIRED: i32 = -32042;

    /// `message` is one sentence: what went wrong, where, and what to do.
    pub fn new(code: i32, message: &str) -> Self {
        Self(text::raw(&json!({ "code": code, "message": message })))
    }

    pub fn with_data(code: i32, message: &str, data: serde_json::Value) -> Self {
        Self(text::raw(&json!({ "code": code, "message": message, "data": data })))
    }

    /// The code, when the object has an integer one.
    pub fn code(&self) -> Option<i32> {
        let fields = text::Fields::parse(self.0.get()).ok()?;
        serde_json::from_str(fields.get("code")?.get()).ok()
    }

    /// The message, when the object has one.
    pub fn message(&self) -> Option<String> {
        text::Fields::parse(self.0.get()).ok()?.get_str("message")
    }
}

/// What a server sends while one of its requests is open.
#[derive(Debug)]
pub enum Up {
    /// A notification that belongs to the open request (progress, log message), `params` as they came but for
    /// the progress token, which is the asking client's own.
    Note { method: String, params: Option<Raw> },
    /// A request of the server to its client (elicitation, sampling, roots).
    Ask { method: String, params: Option<Raw>, reply: oneshot::Sender<Result<Raw, RpcError>> },
}
