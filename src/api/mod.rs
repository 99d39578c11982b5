//! The custom resources of group `pilothouse.dev`, one kind a file: types, CEL rules, columns. No behaviour.

pub mod change_request;
mod crds;
pub mod data_source;
mod embedded;
pub mod emergency_change;
pub mod mcp_pool;
pub mod mcp_server;
mod omit;
mod rules;
mod secret_source;
mod span;
pub mod variables;

pub use change_request::{ChangeRequest, ChangeRequestSpec, ChangeRequestStatus};
pub use crds::{crd_files, crds};
pub use data_source::{DataSource, DataSourceSpec, DataSourceStatus};
pub use emergency_change::{EmergencyChange, EmergencyChangeSpec, EmergencyChangeStatus};
pub use mcp_pool::{MCPPool, MCPPoolSpec, MCPPoolStatus};
pub use mcp_server::{MCPServer, MCPServerSpec, MCPServerStatus};
pub use secret_source::{External, SecretKeyRef, SecretStoreKind, SecretStoreRef};
pub use span::Span;

/// API group of every custom resource here.
pub const GROUP: &str = "pilothouse.dev";
