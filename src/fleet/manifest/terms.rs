//! What a manifest says of who may use the server's tools, and how.

use std::num::NonZeroUsize;

use kube::ResourceExt;

use crate::{
    api::mcp_server::{self, Access, GatewaySpec, MCPServer, ScaleToZero, ToolSelection},
    caller::Audience,
    gateway::{Pinning, Terms, ToolPolicy},
};

/// Changed tools that may be used again: `tool=hash`, with commas or spaces between them.
pub(in crate::fleet) const APPROVED_TOOLS: &str = "pilothouse.dev/approved-tools";

pub(super) fn tools(server: &MCPServer) -> ToolPolicy {
    let ToolSelection { allow, deny, rename } = server.spec.gateway.tools.clone();
    ToolPolicy { allow, deny, rename }
}

pub(super) fn terms(server: &MCPServer) -> Terms {
    let GatewaySpec {
        access,
        max_concurrent_calls,
        stateless,
        redact,
        pinning,
        // Parts of the downstream itself.
        prefix: _,
        tools: _,
        host_header: _,
        call_timeout: _,
    } = &server.spec.gateway;
    let unsaid = Terms::default();
    let drain = server.spec.rollout.drain_timeout.map_or(unsaid.drain, |drain| drain.duration());
    let sleeps = server.spec.scale_to_zero.as_ref().filter(|_| server.spec.image.is_some());
    Terms {
        audience: access.as_ref().map(audience),
        at_once: max_concurrent_calls.and_then(|most| usize::try_from(most).ok()).and_then(NonZeroUsize::new),
        stateless: *stateless,
        redact: *redact,
        pinning: match pinning {
            mcp_server::Pinning::Report => Pinning::Report,
            mcp_server::Pinning::Enforce => Pinning::Enforce { approved: approved(server) },
        },
        drain,
        wakes_within: sleeps.map(|ScaleToZero { wake_timeout, idle_after: _ }| wake_timeout.duration()),
    }
}

fn audience(access: &Access) -> Audience {
    let Access { groups, users, service_accounts } = access.clone();
    Audience { groups, users, service_accounts }
}

fn approved(server: &MCPServer) -> std::collections::BTreeSet<String> {
    let noted = server.annotations().get(APPROVED_TOOLS).map(String::as_str).unwrap_or_default();
    noted.split([',', ' ', '\n']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
