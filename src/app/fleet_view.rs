//! The fleet as the tools see it.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use crate::{
    fleet::{self, Roster, Row},
    gateway::Gateway,
    tools::{FleetView, MemberRow, ServerRow},
};

/// Joins what is declared with what the gateway has seen, at the moment of asking. The tools are made before
/// the gateway, which shows them; so it is plugged in afterwards.
#[derive(Default)]
pub(super) struct JoinedFleet(OnceLock<(Arc<Roster>, Arc<Gateway>)>);

impl JoinedFleet {
    /// Once; a second time changes nothing.
    pub(super) fn plug(&self, roster: Arc<Roster>, gateway: Arc<Gateway>) {
        let _ = self.0.set((roster, gateway));
    }

    /// Where there are MCPServers.
    pub(super) fn namespaces(&self) -> BTreeSet<String> {
        let Some((roster, _)) = self.0.get() else { return BTreeSet::new() };
        roster.known().borrow().keys().map(|name| name.namespace.clone()).collect()
    }
}

impl FleetView for JoinedFleet {
    fn servers(&self) -> Vec<ServerRow> {
        let Some((roster, gateway)) = self.0.get() else { return Vec::new() };
        let known = roster.known().borrow().clone();
        let observations = gateway.observations().borrow().clone();
        fleet::rows(&known, &observations).into_iter().map(row).collect()
    }
}

fn row(row: Row) -> ServerRow {
    let Row {
        name,
        prefix,
        state,
        reason,
        transport,
        server,
        tools,
        calls,
        errors,
        endpoints,
        dropped,
        members,
    } = row;
    let member =
        |fleet::MemberRow { name, state, reason }| MemberRow { name, state: state.to_owned(), reason };
    ServerRow {
        namespace: name.namespace,
        name: name.name,
        prefix,
        state: state.to_owned(),
        reason,
        transport: transport.to_owned(),
        server,
        tools: tools.into_iter().map(|tool| (tool.name, tool.tokens)).collect(),
        calls,
        errors,
        endpoints,
        dropped,
        members: members.into_iter().map(member).collect(),
    }
}
