//! What a manifest says of who may use the tools of a server or a pool, and how.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    time::Duration,
};

use kube::api::ObjectMeta;

use crate::{
    api::{
        MCPPool,
        mcp_server::{self, Access, GatewaySpec, MCPServer, ScaleToZero, ToolSelection},
    },
    caller::Audience,
    gateway::{Pinning, ServerName, Terms, ToolPolicy},
};

/// Changed tools that may be used again: `tool=hash`, with commas or spaces between them.
pub(in crate::fleet) const APPROVED_TOOLS: &str = "pilothouse.dev/approved-tools";

/// What an MCPServer or an MCPPool says of its tools, whatever answers them.
pub(super) struct Declaration<'a> {
    pub(super) name: ServerName,
    pub(super) metadata: &'a ObjectMeta,
    pub(super) gateway: &'a GatewaySpec,
    /// Of the endpoints of an MCPServer; the members of a pool have their own.
    drain: Option<Duration>,
    wakes_within: Option<Duration>,
    /// The hashes of its tools as the status says they were.
    pins: BTreeMap<String, String>,
}

impl<'a> Declaration<'a> {
    pub(super) fn of(server: &'a MCPServer) -> Self {
        let sleeps = server.spec.scale_to_zero.as_ref().filter(|_| server.spec.image.is_some());
        let pins = server.status.as_ref().map(|status| status.pins.clone()).unwrap_or_default();
        Self {
            name: super::name(server),
            metadata: &server.metadata,
            gateway: &server.spec.gateway,
            drain: server.spec.rollout.drain_timeout.map(|drain| drain.duration()),
            wakes_within: sleeps.map(|ScaleToZero { wake_timeout, idle_after: _ }| wake_timeout.duration()),
            pins,
        }
    }

    pub(super) fn of_pool(pool: &'a MCPPool) -> Self {
        Self {
            name: super::pool::name(pool),
            metadata: &pool.metadata,
            gateway: &pool.spec.gateway,
            drain: None,
            wakes_within: None,
            pins: pool.status.as_ref().map(|status| status.pins.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn tools(&self) -> ToolPolicy {
        let ToolSelection { allow, deny, rename } = self.gateway.tools.clone();
        ToolPolicy { allow, deny, rename }
    }

    pub(super) fn terms(&self) -> Terms {
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
        } = self.gateway;
        let at_once = max_concurrent_calls.and_then(|most| usize::try_from(most).ok());
        Terms {
            audience: access.as_ref().map(audience),
            at_once: at_once.and_then(NonZeroUsize::new),
            stateless: *stateless,
            redact: *redact,
            pinning: match pinning {
                mcp_server::Pinning::Report => Pinning::Report,
                mcp_server::Pinning::Enforce => Pinning::Enforce,
            },
            approved: self.approved(),
            pins: self.pins.clone(),
            drain: self.drain.unwrap_or(Terms::default().drain),
            wakes_within: self.wakes_within,
        }
    }

    fn approved(&self) -> BTreeSet<String> {
        let annotations = self.metadata.annotations.as_ref();
        let noted = annotations.and_then(|all| all.get(APPROVED_TOOLS)).map(String::as_str);
        let words = noted.unwrap_or_default().split([',', ' ', '\n']);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

fn audience(access: &Access) -> Audience {
    let Access { groups, users, service_accounts } = access.clone();
    Audience { groups, users, service_accounts }
}
