//! The fleet as a table: what is declared, joined with what the gateway has seen.

use std::collections::BTreeMap;

use super::roster::Known;
use crate::gateway::{
    Downstream, Member, Observation, Refusal, ServerName, State, Target, ToolSummary, Transport,
};

/// One declared server.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: ServerName,
    pub prefix: String,
    /// `Ready`, `Asleep`, `Connecting`, `Unreachable`, `PrefixTaken` or `Refused`.
    pub state: &'static str,
    /// Why it is not ready, one sentence; empty when it is.
    pub reason: String,
    /// `streamable-http`, `sse` or `stdio`; empty when it was refused.
    pub transport: &'static str,
    /// `name version (protocol)` of the last handshake.
    pub server: Option<String>,
    pub tools: Vec<ToolSummary>,
    pub calls: u64,
    pub errors: u64,
    /// Pods that may get new work; 1 for a remote server and a local process.
    pub endpoints: usize,
    /// Tools that are quarantined or changed, and entries that were dropped alone, one sentence each.
    pub dropped: Vec<String>,
    /// The MCPServers behind it when it is a pool, sorted by name.
    pub members: Vec<MemberRow>,
}

/// A member of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberRow {
    pub name: String,
    /// As of a [`Row`].
    pub state: &'static str,
    pub reason: String,
}

/// Every declared server, sorted by name.
pub fn rows(
    known: &BTreeMap<ServerName, Known>,
    observations: &BTreeMap<ServerName, Observation>,
) -> Vec<Row> {
    known
        .iter()
        .map(|(name, known)| match &known.declared {
            Ok(downstream) => row(downstream, observations),
            Err(reason) => refused(name, reason),
        })
        .collect()
}

fn refused(name: &ServerName, reason: &Refusal) -> Row {
    Row {
        name: name.clone(),
        prefix: String::new(),
        state: "Refused",
        reason: reason.to_string(),
        transport: "",
        server: None,
        tools: Vec::new(),
        calls: 0,
        errors: 0,
        endpoints: 0,
        dropped: Vec::new(),
        members: Vec::new(),
    }
}

/// Those that may get new work.
pub(super) fn endpoints(target: &Target) -> usize {
    match target {
        Target::Endpoints { endpoints, .. } => endpoints.iter().filter(|at| !at.terminating).count(),
        Target::Url { .. } | Target::Process(_) => 1,
        Target::Members(members) => members.iter().map(of_member).sum(),
    }
}

/// Those of a member of a pool.
pub(super) fn of_member(member: &Member) -> usize {
    member.reached.as_ref().map_or(0, |reached| endpoints(&reached.target))
}

/// The state in a word, and why it is not ready.
fn state(prefix: &str, endpoints: usize, observation: Option<&Observation>) -> (&'static str, String) {
    match observation.map(|seen| &seen.state) {
        None | Some(State::Connecting) if endpoints == 0 => ("Connecting", "no pod is ready".to_owned()),
        None | Some(State::Connecting) => ("Connecting", "the handshake has not ended yet".to_owned()),
        Some(State::Ready) => ("Ready", String::new()),
        Some(State::Asleep) => ("Asleep", "nobody uses it, the first call wakes it".to_owned()),
        Some(State::Unreachable { reason }) => ("Unreachable", reason.clone()),
        Some(State::PrefixTaken { by }) => {
            ("PrefixTaken", format!("the older server {by} has the prefix {prefix}"))
        }
    }
}

fn row(downstream: &Downstream, observations: &BTreeMap<ServerName, Observation>) -> Row {
    let observation = observations.get(&downstream.name);
    let endpoints = endpoints(&downstream.target);
    let prefix = downstream.prefix.as_str();
    let (state_now, mut reason) = state(prefix, endpoints, observation);
    if matches!(&downstream.target, Target::Members(members) if members.is_empty()) {
        reason = "its selector matches no MCPServer, or they belong to an older pool".to_owned();
    }
    let members = downstream.members().iter().map(|member| {
        let (state, reason) = state(prefix, of_member(member), observations.get(&member.server));
        MemberRow { name: member.server.name.clone(), state, reason }
    });
    let members = members.collect();
    Row {
        name: downstream.name.clone(),
        prefix: downstream.prefix.as_str().to_owned(),
        state: state_now,
        reason,
        transport: match downstream.transport {
            Transport::StreamableHttp => "streamable-http",
            Transport::Sse => "sse",
            Transport::Stdio => "stdio",
        },
        server: observation
            .and_then(|seen| seen.server.as_ref())
            .map(|server| format!("{} {} ({})", server.name, server.version, server.protocol_version)),
        tools: observation.map(|seen| seen.tools.clone()).unwrap_or_default(),
        calls: observation.map_or(0, |seen| seen.calls),
        errors: observation.map_or(0, |seen| seen.errors),
        endpoints,
        dropped: observation
            .map(|seen| [&*seen.quarantined, &*seen.changed, &*seen.dropped].concat())
            .unwrap_or_default(),
        members,
    }
}
