//! Where downstreams come from: the cluster's MCPServers, or a folder. Read only, in every process.
//!
//! A source ([`cluster::Cluster`], [`folder::Folder`]) turns what it watches into [`Change`]s; the [`Roster`]
//! keeps what is declared and hands it to the gateway.

pub mod cluster;
pub mod folder;
mod forward;
mod index;
mod manifest;
mod pools;
mod roster;
mod rows;
mod secrets;
mod serving;
mod slices;
mod usage;

pub use crate::gateway::{
    Breach, Observation, Observations, Prefix, Refusal, ServerInfo, ServerName, State, ToolDefinition,
    ToolSummary, contract::breaches,
};
pub use roster::{Change, Known, Roster, Source};
pub use rows::{MemberRow, Row, rows};
pub use serving::{Contest, PodAddress, PoolMember, PoolStands, Serving};
pub use usage::{ServerUse, USE_PATH, Usage};
