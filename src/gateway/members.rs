//! The MCPServers behind one downstream: one, or the members of a pool. Pure.

use std::time::Duration;

use super::downstream::{Downstream, Member, Reached, Refusal, ServerName, Target, Transport};

/// One MCPServer behind a downstream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) server: &'a ServerName,
    pub(super) transport: Transport,
    pub(super) target: &'a Target,
    pub(super) stateless: bool,
    pub(super) drain: Duration,
    pub(super) wakes_within: Option<Duration>,
}

impl Downstream {
    /// Every MCPServer behind it, or why it cannot be used: itself, or its members in the order of their names.
    pub(super) fn parts(&self) -> Vec<(&ServerName, Result<Part<'_>, &Refusal>)> {
        let Target::Members(members) = &self.target else { return vec![(&self.name, Ok(self.whole()))] };
        let parts = members
            .iter()
            .map(|Member { server, reached }| (server, reached.as_ref().map(|reached| reached.part(server))));
        parts.collect()
    }

    pub(super) fn part(&self, server: &ServerName) -> Option<Part<'_>> {
        self.parts().into_iter().find(|(name, _)| *name == server)?.1.ok()
    }

    /// Its members when it is a pool; nothing when it is one server.
    pub fn members(&self) -> &[Member] {
        match &self.target {
            Target::Members(members) => members,
            Target::Endpoints { .. } | Target::Url { .. } | Target::Process(_) => &[],
        }
    }

    fn whole(&self) -> Part<'_> {
        let Self { name: server, transport, target, terms, .. } = self;
        Part {
            server,
            transport: *transport,
            target,
            stateless: terms.stateless,
            drain: terms.drain,
            wakes_within: terms.wakes_within,
        }
    }
}

impl Reached {
    fn part<'a>(&'a self, server: &'a ServerName) -> Part<'a> {
        let Self { transport, target, stateless, drain, wakes_within } = self;
        Part {
            server,
            transport: *transport,
            target,
            stateless: *stateless,
            drain: *drain,
            wakes_within: *wakes_within,
        }
    }
}

impl Part<'_> {
    /// Its endpoints come and go, instead of being one place for good.
    pub(super) fn has_pods(&self) -> bool {
        matches!(self.target, Target::Endpoints { .. })
    }
}
