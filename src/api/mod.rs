//! The custom resources of group `pilothouse.dev`, one kind a file: types, CEL rules, columns. No behaviour.

mod call_timeout;
mod crds;
pub mod mcp_server;

pub use call_timeout::CallTimeout;
pub use crds::crds;
pub use mcp_server::{MCPServer, MCPServerSpec, MCPServerStatus};

/// API group of every custom resource here.
pub const GROUP: &str = "pilothouse.dev";
