//! What the configuration says of all MCP servers together.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::Path,
};

use serde::Deserialize;

use crate::{
    answer::Ring,
    api::Span,
    gateway::Settings,
    mcp::{HttpSettings, RateLimit},
};

/// How the gateway treats its callers.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct GatewayConfig {
    /// With more tools than this in a caller's view, tools/list is pilothouse's own tools, `search_tools` and
    /// `call_tool`.
    pub list_up_to: NonZeroUsize,
    /// How fast each caller may ask; as fast as it likes when absent.
    pub rate_limit: Option<RateConfig>,
    pub idle: IdleConfig,
}

/// How long what nobody uses is kept.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct IdleConfig {
    /// A session of a client over Streamable HTTP that sends nothing. It is told to begin anew when it comes back.
    pub sessions: Span,
    /// A connection to a server over HTTP. It is opened again for the next call.
    pub connections: Span,
}

impl Default for IdleConfig {
    fn default() -> Self {
        Self { sessions: Span::minutes(30), connections: Span::minutes(5) }
    }
}

impl IdleConfig {
    pub(super) fn sessions(self, settings: HttpSettings) -> HttpSettings {
        HttpSettings { session_idle: self.sessions.duration(), ..settings }
    }
}

/// So many requests a minute, and so many at once after a pause.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RateConfig {
    pub per_minute: NonZeroU32,
    /// A tenth of `perMinute` when absent, at least 1.
    pub burst: Option<NonZeroU32>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        let list_up_to = NonZeroUsize::MIN.saturating_add(199);
        Self { list_up_to, rate_limit: None, idle: IdleConfig::default() }
    }
}

impl RateConfig {
    pub(super) fn limit(self) -> RateLimit {
        let Self { per_minute, burst } = self;
        let tenth = NonZeroU32::new(per_minute.get() / 10).unwrap_or(NonZeroU32::MIN);
        RateLimit { per_minute, burst: burst.unwrap_or(tenth) }
    }
}

/// What the gateway remembers lies in a folder of its own. `replica` is our name among those that have the same `ring`.
pub(super) fn settings(data: &Path, ring: Option<Ring>, replica: String, idle: IdleConfig) -> Settings {
    let (memory, idle_after) = (Some(data.join("fleet")), idle.connections.duration());
    Settings { memory, idle_after, ring, replica, ..Settings::default() }
}
