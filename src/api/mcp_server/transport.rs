//! How a server speaks MCP.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a server speaks MCP.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    #[default]
    StreamableHttp,
    Sse,
    Stdio,
}

impl Transport {
    /// Where the endpoint is when `spec.path` is not set. The bridge of a stdio server answers on `/mcp`.
    pub fn default_path(self) -> &'static str {
        match self {
            Self::StreamableHttp | Self::Stdio => "/mcp",
            Self::Sse => "/sse",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StreamableHttp => "streamable-http",
            Self::Sse => "sse",
            Self::Stdio => "stdio",
        })
    }
}
