//! The fleet as the tools see it.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use jiff::Timestamp;

use crate::{
    fleet::{self, Roster, Row},
    gateway::{Circuit, Figures, Gateway},
    tools::{FleetView, MemberRow, ServerFigures, ServerRow},
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
        let figures = gateway.figures();
        let of = |row: &Row| figures.get(&row.name).cloned();
        fleet::rows(&known, &observations)
            .into_iter()
            .map(|seen| {
                let figures = of(&seen);
                with_figures(row(seen), figures)
            })
            .collect()
    }
}

/// A server that answers and fails calls all the same is not simply ready.
fn with_figures(row: ServerRow, figures: Option<Figures>) -> ServerRow {
    let Some(Figures { connections, sessions, circuit, listed, latency }) = figures else { return row };
    let usual = (row.state.clone(), row.reason.clone());
    let (state, reason) = match circuit {
        Circuit::Open { reason } if row.state == "Ready" => ("CircuitOpen".to_owned(), reason),
        Circuit::Degraded { reason } if row.state == "Ready" => ("Degraded".to_owned(), reason),
        Circuit::Open { .. } | Circuit::Degraded { .. } | Circuit::Closed => usual,
    };
    let age = listed.map(|listed| Timestamp::now().duration_since(listed).unsigned_abs());
    let doing = ServerFigures {
        connections,
        sessions,
        listed_ago: age,
        half_within: latency.within(0.5),
        most_within: latency.within(0.95),
    };
    ServerRow { state, reason, figures: Some(doing), ..row }
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
        figures: None,
        members: members.into_iter().map(member).collect(),
    }
}
