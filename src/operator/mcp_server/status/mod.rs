//! The status as a value, from what was found. Needs no client; the time comes in as an argument.

mod available;
mod conditions;
mod declared;
mod extras;
mod happenings;
mod images;
mod litellm;
mod monitor;
mod phase;
mod pods;
mod registered;
mod rollout;
mod secrets;
mod sources;
mod traces;
mod trust;

pub(super) use declared::was_scaled;
pub(super) use extras::Extras;
pub(super) use happenings::happenings;
pub(super) use litellm::{Registration, add_registration};
pub(super) use traces::{Crash, Evidence, FailedProbe, Probing, crash, last_line, probe_failure, probing};

use k8s_openapi::{api::apps::v1::Deployment, api::core::v1::Pod, jiff::Timestamp};
use url::Url;

use super::{
    build::{external_url, metrics_url, selector, service_url},
    rollout::Standing,
    validate::{InvalidSpec, Owner, Workload},
};
use crate::{
    api::{
        MCPServer, MCPServerStatus,
        mcp_server::{ConditionType, Endpoints, ServerInfo, ToolStatus},
    },
    fleet::{Observation, State},
    operator::{
        field_error::{FieldError, listed},
        offered::pins,
        policy::Violation,
    },
};
use conditions::{Finding, Holds};

/// Tools listed in a status; `toolCount` counts them all.
const TOOLS: usize = 200;

/// Everything a status is made from, but the MCPServer itself.
#[derive(Debug)]
pub(super) enum Situation<'a> {
    Invalid(&'a InvalidSpec),
    /// The installation does not allow it.
    PolicyViolated(&'a [Violation]),
    /// The API server refuses a child: what it said.
    Refused(String),
    /// Objects that have our name and are not ours.
    NamesTaken(Vec<String>),
    Remote {
        url: &'a Url,
        /// Why its headers have no values.
        unread: Option<&'a str>,
    },
    Workload {
        owner: &'a Owner,
        workload: &'a Workload,
        /// None while children of a former MCPServer of this name are being deleted.
        deployment: Option<&'a Deployment>,
        pods: &'a [Pod],
        /// What those pods left behind besides their status.
        evidence: &'a Evidence,
        /// How the pods stand before the gate of a rollout.
        standing: &'a Standing,
        extras: &'a Extras,
    },
}

/// The status the MCPServer should have; equal to the one it has when nothing changed. `earlier` is the Deployment
/// that an earlier spec left running.
pub(super) fn assess(
    server: &MCPServer,
    situation: &Situation<'_>,
    earlier: Option<&Deployment>,
    observation: Option<&Observation>,
    now: Timestamp,
) -> MCPServerStatus {
    let before = server.status.clone().unwrap_or_default();
    let accepted = accepted(situation);
    let mut availability = available::availability(situation, earlier);
    availability.finding = conditions::with_known_cause(&before, availability.finding, images::CAUSE_UNKNOWN);
    // What was seen under its name is the pool's, where that has the name.
    let taken = server.metadata.name.as_deref();
    let taken =
        observation.and_then(|seen| seen.pool.as_ref()).is_some_and(|pool| Some(pool.name.as_str()) == taken);
    let observation = observation.filter(|_| !taken);
    // A replica that has just become the leader has not tried yet: what the one before it found still holds.
    let is_known = observation.is_some_and(|seen| seen.state != State::Connecting);
    let carries_on =
        !is_known && !taken && availability.serves && conditions::holds(&before, ConditionType::Verified);
    let seen = if carries_on { None } else { observation };
    let (verified, registered) = if carries_on {
        (
            conditions::found(&before, ConditionType::Verified),
            conditions::found(&before, ConditionType::Registered),
        )
    } else {
        (Some(registered::verified(seen)), Some(registered::registered(seen, taken)))
    };
    let answers = match (carries_on, seen.map(|seen| &seen.state)) {
        (true, _) => phase::Answers::Yes,
        (false, Some(State::Ready | State::Asleep)) => phase::Answers::Yes,
        (false, Some(State::Unreachable { .. } | State::PrefixTaken { .. })) => phase::Answers::No,
        (false, Some(State::Connecting) | None) => phase::Answers::NotYet,
    };
    let tools = if carries_on || observation.is_none() { before.tools.clone() } else { tools(observation) };
    let tool_count = if carries_on || observation.is_none() { before.tool_count } else { count(observation) };
    let always = [Some(accepted), Some(availability.finding.clone()), verified, registered];
    let trust = if carries_on || observation.is_none() {
        [ConditionType::ToolsChanged, ConditionType::ToolsQuarantined]
            .map(|type_| conditions::found(&before, type_))
    } else {
        trust::findings(observation)
    };
    let pins = pins(observation, &before.pins);
    let where_used = [rollout::held(situation), rollout::unread(server, situation)].into_iter().chain(trust);
    let findings =
        always.into_iter().chain(where_used).flatten().chain(declared::findings(situation)).collect();
    MCPServerStatus {
        observed_generation: server.metadata.generation,
        phase: Some(phase::phase(situation, &availability, answers)),
        replicas: availability.replicas,
        ready_replicas: availability.ready,
        selector: server.metadata.name.as_deref().map(selector),
        endpoints: endpoints(situation),
        server: observation.and_then(server_info).or_else(|| before.server.clone()),
        tools,
        tool_count,
        pins,
        connected_sources: declared::connected_sources(situation, before.connected_sources),
        conditions: conditions::merge(&before.conditions, findings, server.metadata.generation, now),
    }
}

fn accepted(situation: &Situation<'_>) -> Finding {
    let refused = |reason: &'static str, message: String| Finding {
        type_: ConditionType::Accepted,
        holds: Holds::No,
        reason: reason.to_owned(),
        message,
    };
    match situation {
        Situation::Invalid(why) => refused(why.reason(), why.to_string()),
        Situation::PolicyViolated(violations) => {
            let errors: Vec<FieldError> = violations.iter().map(FieldError::from).collect();
            refused("PolicyViolated", listed(&errors))
        }
        Situation::Refused(what) => refused("ChildRefused", what.clone()),
        Situation::NamesTaken(names) => refused(
            "NameTaken",
            format!(
                "{} exists already and belongs to somebody else: delete it or give this MCPServer another name",
                names.join(" and ")
            ),
        ),
        Situation::Remote { .. } | Situation::Workload { .. } => Finding {
            type_: ConditionType::Accepted,
            holds: Holds::Yes,
            reason: "Valid".to_owned(),
            message: "The spec can be acted on.".to_owned(),
        },
    }
}

fn endpoints(situation: &Situation<'_>) -> Option<Endpoints> {
    match situation {
        Situation::Remote { url, .. } => {
            Some(Endpoints { service: Some(url.to_string()), ..Endpoints::default() })
        }
        Situation::Workload { owner, workload, .. } => Some(Endpoints {
            service: Some(service_url(owner, workload)),
            external: external_url(workload),
            metrics: metrics_url(owner, workload),
        }),
        Situation::Invalid(_)
        | Situation::PolicyViolated(_)
        | Situation::Refused(_)
        | Situation::NamesTaken(_) => None,
    }
}

fn server_info(observation: &Observation) -> Option<ServerInfo> {
    observation.server.as_ref().map(|server| ServerInfo {
        name: server.name.clone(),
        version: server.version.clone(),
        protocol_version: server.protocol_version.clone(),
    })
}

fn tools(observation: Option<&Observation>) -> Vec<ToolStatus> {
    let tools = observation.into_iter().flat_map(|seen| &seen.tools);
    let mut tools: Vec<ToolStatus> = tools
        .map(|tool| ToolStatus {
            name: tool.name.clone(),
            hash: tool.hash.clone(),
            tokens: i64::from(tool.tokens),
        })
        .collect();
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    tools.truncate(TOOLS);
    tools
}

fn count(observation: Option<&Observation>) -> i32 {
    i32::try_from(observation.map_or(0, |seen| seen.tools.len())).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
