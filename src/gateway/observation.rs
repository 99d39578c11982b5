//! What the gateway has seen of a downstream: feeds the MCPServer's status and `get_mcp_server`.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::downstream::ServerName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub state: State,
    /// From the last handshake that succeeded.
    pub server: Option<ServerInfo>,
    /// Tools shown to clients, after allow and deny, sorted by the server's own name.
    pub tools: Vec<ToolSummary>,
    /// Entries that were dropped alone, one sentence each.
    pub dropped: Vec<String>,
    /// Tools whose definition is not the one they had when the server was registered, one sentence each.
    pub changed: Vec<String>,
    /// Tools that are not shown, since their definition tries to steer whoever reads it, one sentence each.
    pub quarantined: Vec<String>,
    /// The hash of each tool as it was when the server was registered, by the server's own name.
    pub pins: Arc<BTreeMap<String, Arc<str>>>,
    /// Of a member of a pool they are counted by the pool.
    pub calls: u64,
    pub errors: u64,
    /// The pool through which it appears, when it is not listed under its own name; of a pool, itself.
    pub pool: Option<ServerName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No endpoint is ready, or the handshake has not ended yet.
    Connecting,
    Ready,
    /// It has no endpoint, since nobody uses it; whoever calls wakes it.
    Asleep,
    /// It was ready and is not any more, or never was: why, in one sentence.
    Unreachable {
        reason: String,
    },
    /// Another, older server holds its prefix.
    PrefixTaken {
        by: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    pub name: String,
    pub version: String,
    pub protocol_version: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSummary {
    /// As clients see it.
    pub name: String,
    /// The first 12 hex digits of it: enough for people to tell definitions apart, and for nothing else.
    pub hash: String,
    /// Estimated tokens of the definition.
    pub tokens: u32,
}

/// The SHA-256 of `bytes` in hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}
