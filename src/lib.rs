//! pilothouse: an MCP server for Kubernetes and its own operator, in one process.
//!
//! The rooms and the arrows between them are described in `docs/house.md`; `tests/it/arrows.rs` holds the
//! code to it.

pub mod answer;
pub mod api;
pub mod app;
pub mod audit;
pub mod bridge;
pub mod caller;
pub mod changes;
pub mod cli;
pub mod cluster;
pub mod fleet;
pub mod gateway;
pub mod mcp;
pub mod metrics;
pub mod operator;
pub mod peers;
pub mod redact;
pub mod telemetry;
pub mod tools;
