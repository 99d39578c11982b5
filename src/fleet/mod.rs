//! Where downstreams come from: the cluster's MCPServers, or a folder. Read only, in every process.

pub use crate::gateway::{Observation, Observations, Prefix, ServerInfo, ServerName, State, ToolSummary};
