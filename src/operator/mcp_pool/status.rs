//! The status of a pool as a value, from what was found. Needs no client; the time comes in as an argument.

use k8s_openapi::jiff::Timestamp;

use crate::{
    api::{
        MCPPool, MCPPoolStatus,
        mcp_pool::{PoolCondition, PoolMember, PoolPhase},
    },
    fleet::{self, Observation, Observations, PoolStands, ServerName, State},
    operator::{
        conditions::{self, Holds},
        offered::{offered, pins},
    },
};

type Finding = conditions::Finding<PoolCondition>;

/// Members listed in a status; `memberCount` counts them all.
const MEMBERS: usize = 200;

/// A member as it stands.
struct Member<'a> {
    name: &'a str,
    /// It answers, or will when it is called.
    ready: bool,
    /// It may answer soon: nothing is wrong with it.
    waits: bool,
    /// Why it does not.
    why: String,
}

/// The status the pool should have; equal to the one it has when nothing changed. `violated` says which rules of the
/// installation it breaks: nothing is made of a pool, so its members are presented all the same.
pub(super) fn assess(
    pool: &MCPPool,
    stands: &PoolStands,
    violated: Option<&str>,
    observations: &Observations,
    now: Timestamp,
) -> MCPPoolStatus {
    let before = pool.status.clone().unwrap_or_default();
    let metadata = &pool.metadata;
    let name = ServerName {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    };
    let seen = observations.get(&name).filter(|seen| seen.pool.as_ref() == Some(&name));
    let members = members(&name, stands, observations, &before);
    let ready = members.iter().filter(|member| member.ready).count();
    // A replica that has just become the leader has not tried yet: what the one before it found still holds.
    let carries_on = ready > 0 && seen.is_none_or(|seen| seen.state == State::Connecting);
    let as_declared = accepted(stands);
    let is_accepted = as_declared.holds == Holds::Yes;
    let accepted = violated.filter(|_| is_accepted).map_or(as_declared, policy_violated);
    let earlier = conditions::found(&before.conditions, PoolCondition::Registered).filter(|_| carries_on);
    let registered = earlier.unwrap_or_else(|| registered(seen.filter(|_| is_accepted)));
    let findings = vec![accepted, available(is_accepted, &members), registered];
    let phase = phase(&members, is_accepted, seen, &before);
    let tool_count = match seen {
        Some(seen) if !carries_on => count(seen.tools.len()),
        _ if carries_on => before.tool_count,
        _ => 0,
    };
    MCPPoolStatus {
        observed_generation: metadata.generation,
        phase: Some(phase),
        member_count: count(members.len()),
        ready_members: count(ready),
        members: members
            .iter()
            .take(MEMBERS)
            .map(|member| PoolMember { name: member.name.to_owned(), ready: member.ready })
            .collect(),
        tool_count,
        pins: pins(seen, &before.pins),
        conditions: conditions::merge(&before.conditions, findings, metadata.generation, now),
    }
}

fn members<'a>(
    pool: &ServerName,
    stands: &'a PoolStands,
    observations: &Observations,
    before: &MCPPoolStatus,
) -> Vec<Member<'a>> {
    let PoolStands::Members(members) = stands else { return Vec::new() };
    let member = |fleet::PoolMember { server, endpoints, refused }: &'a fleet::PoolMember| {
        let seen = observations.get(server).filter(|seen| seen.pool.as_ref() == Some(pool));
        let was_ready = || before.members.iter().any(|member| member.name == server.name && member.ready);
        let (ready, waits, why) = match (refused, seen.map(|seen| &seen.state)) {
            (Some(why), _) => (false, false, why.clone()),
            (None, Some(State::Ready | State::Asleep)) => (true, false, String::new()),
            (None, Some(State::Unreachable { reason })) => (false, false, reason.clone()),
            // Who has the prefix says nothing of whether it answers.
            (None, Some(State::PrefixTaken { .. })) => {
                (*endpoints > 0, false, "no pod of it is ready".to_owned())
            }
            (None, Some(State::Connecting) | None) if *endpoints == 0 => {
                (false, true, "no pod of it is ready".to_owned())
            }
            (None, Some(State::Connecting) | None) => {
                (was_ready(), true, "no handshake has ended yet".to_owned())
            }
        };
        Member { name: &server.name, ready, waits, why }
    };
    members.iter().map(member).collect()
}

fn accepted(stands: &PoolStands) -> Finding {
    let found = |holds, reason: &str, message: &str| Finding {
        type_: PoolCondition::Accepted,
        holds,
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    match stands {
        PoolStands::Members(_) => found(Holds::Yes, "Valid", "The spec can be acted on."),
        PoolStands::Refused(why) => found(Holds::No, "InvalidSpec", why),
        PoolStands::NameTaken => found(
            Holds::No,
            "NameTaken",
            "An MCPServer of the same name is older: give the MCPPool another name.",
        ),
    }
}

fn policy_violated(why: &str) -> Finding {
    Finding {
        type_: PoolCondition::Accepted,
        holds: Holds::No,
        reason: "PolicyViolated".to_owned(),
        message: why.to_owned(),
    }
}

fn available(is_accepted: bool, members: &[Member<'_>]) -> Finding {
    let found = |holds, reason: &str, message: String| Finding {
        type_: PoolCondition::Available,
        holds,
        reason: reason.to_owned(),
        message,
    };
    let ready = members.iter().filter(|member| member.ready).count();
    let absent = members.iter().find(|member| !member.ready);
    match (ready, absent) {
        _ if !is_accepted => {
            found(Holds::No, "NotAccepted", "The condition Accepted says what to correct.".to_owned())
        }
        (0, None) => found(
            Holds::No,
            "NoMembers",
            "No MCPServer of this namespace has the labels that spec.selector asks for, or each belongs to an older MCPPool: label one.".to_owned(),
        ),
        (0, Some(first)) => found(
            Holds::No,
            "NoMemberReady",
            format!("No member answers, {} does not, since: {}", first.name, sentence(&first.why)),
        ),
        (_, None) => found(Holds::Yes, "MembersReady", format!("{ready} of {ready} members answer.")),
        (_, Some(first)) => found(
            Holds::Yes,
            "MembersMissing",
            format!(
                "{ready} of {} members answer, {} does not, since: {}",
                members.len(),
                first.name,
                sentence(&first.why)
            ),
        ),
    }
}

fn registered(seen: Option<&Observation>) -> Finding {
    let found = |holds, reason: &str, message: String| Finding {
        type_: PoolCondition::Registered,
        holds,
        reason: reason.to_owned(),
        message,
    };
    match seen.map(|seen| (&seen.state, seen)) {
        Some((State::Ready | State::Asleep, seen)) => found(Holds::Yes, "Registered", offered(seen)),
        Some((State::PrefixTaken { by }, _)) => found(
            Holds::No,
            "PrefixTaken",
            format!("The prefix is held by {by}, which is older: set another spec.gateway.prefix."),
        ),
        Some((State::Connecting | State::Unreachable { .. }, _)) | None => found(
            Holds::No,
            "NotAvailable",
            "Tools are offered as soon as a member answers: the condition Available says how it stands."
                .to_owned(),
        ),
    }
}

fn phase(
    members: &[Member<'_>],
    is_accepted: bool,
    seen: Option<&Observation>,
    before: &MCPPoolStatus,
) -> PoolPhase {
    if !is_accepted || matches!(seen.map(|seen| &seen.state), Some(State::PrefixTaken { .. })) {
        return PoolPhase::Failed;
    }
    let ready = members.iter().filter(|member| member.ready).count();
    let has_answered = !matches!(before.phase, None | Some(PoolPhase::Pending));
    match ready {
        0 if members.is_empty() => PoolPhase::Pending,
        0 if !has_answered && members.iter().any(|member| member.waits) => PoolPhase::Pending,
        0 => PoolPhase::Failed,
        _ if ready == members.len() => PoolPhase::Ready,
        _ => PoolPhase::Degraded,
    }
}

/// What a downstream said may end in anything.
fn sentence(why: &str) -> String {
    format!("{}.", why.trim_end_matches('.'))
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeMap, sync::Arc};

    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
    use serde_json::json;

    use super::assess;
    use crate::{
        api::{MCPPool, mcp_pool::PoolPhase},
        fleet::{Observation, Observations, PoolMember, PoolStands, ServerName, State, ToolSummary},
    };

    fn name(name: &str) -> ServerName {
        ServerName { namespace: "tools".to_owned(), name: name.to_owned() }
    }

    fn pool() -> MCPPool {
        serde_json::from_value(json!({
            "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPPool",
            "metadata": { "name": "search", "namespace": "tools", "generation": 3 },
            "spec": { "selector": { "matchLabels": { "pool": "search" } } },
        }))
        .unwrap()
    }

    /// The state of the pool, and of members a, b and so on.
    fn seen(pool: State, members: &[State]) -> Observations {
        let tool = ToolSummary { name: "search_find".to_owned(), hash: "0".to_owned(), tokens: 9 };
        let one = |state: &State| Observation {
            state: state.clone(),
            server: None,
            tools: vec![tool.clone()],
            dropped: vec![],
            changed: vec![],
            quarantined: vec![],
            pins: Arc::default(),
            calls: 0,
            errors: 0,
            pool: Some(name("search")),
        };
        let members =
            members.iter().zip('a'..).map(|(state, letter)| (name(&letter.to_string()), one(state)));
        Arc::new(BTreeMap::from_iter(members.chain([(name("search"), one(&pool))])))
    }

    /// Members a, b and so on with so many endpoints.
    fn stands(endpoints: &[usize]) -> PoolStands {
        let member = |(endpoints, letter): (&usize, char)| PoolMember {
            server: name(&letter.to_string()),
            endpoints: *endpoints,
            refused: None,
        };
        PoolStands::Members(endpoints.iter().zip('a'..).map(member).collect())
    }

    fn at(pool: &MCPPool, stands: &PoolStands, seen: &Observations, seconds: i64) -> MCPPool {
        let mut pool = pool.clone();
        pool.status = Some(assess(&pool, stands, None, seen, Timestamp::from_second(seconds).unwrap()));
        pool
    }

    fn short(condition: &Condition) -> String {
        format!("{} {} {}", condition.type_, condition.status, condition.reason)
    }

    fn said(pool: &MCPPool) -> (PoolPhase, i32, i32, i32, Vec<String>) {
        let status = pool.status.clone().unwrap();
        let conditions = status.conditions.iter().map(short).collect();
        (status.phase.unwrap(), status.ready_members, status.member_count, status.tool_count, conditions)
    }

    #[test]
    fn a_pool_that_breaks_a_rule_says_so_and_is_presented_all_the_same() {
        let seen = seen(State::Ready, &[State::Ready]);
        let now = Timestamp::from_second(100).unwrap();
        let mut pool = pool();
        let rule = "metadata.labels: Required value: the label team is missing";
        pool.status = Some(assess(&pool, &stands(&[1]), Some(rule), &seen, now));
        let (phase, ready, _, _, conditions) = said(&pool);
        assert_eq!((phase, ready), (PoolPhase::Ready, 1));
        assert!(conditions.contains(&"Accepted False PolicyViolated".to_owned()), "{conditions:?}");
        assert_eq!(pool.status.unwrap().conditions[0].message, rule);
    }

    #[test]
    fn a_pool_is_ready_when_every_member_answers_and_degraded_when_some_do() {
        let all = at(&pool(), &stands(&[1, 0]), &seen(State::Ready, &[State::Ready, State::Asleep]), 100);
        let conditions = ["Accepted True Valid", "Available True MembersReady", "Registered True Registered"]
            .map(str::to_owned);
        assert_eq!(said(&all), (PoolPhase::Ready, 2, 2, 1, conditions.to_vec()));
        let unreachable = State::Unreachable { reason: "connection refused".to_owned() };
        let some = at(&all, &stands(&[1, 1]), &seen(State::Ready, &[State::Ready, unreachable]), 200);
        assert_eq!(said(&some).0, PoolPhase::Degraded);
        let status = some.status.unwrap();
        let said = &status.conditions[1].message;
        assert_eq!(said, "1 of 2 members answer, b does not, since: connection refused.");
        let since: Vec<_> =
            status.conditions.iter().map(|one| one.last_transition_time.0.as_second()).collect();
        assert_eq!(since, [100, 100, 100], "no status of a condition changed");
        assert_eq!(status.observed_generation, Some(3));
    }

    #[test]
    fn nothing_new_is_the_same_status() {
        let here = (stands(&[1]), seen(State::Ready, &[State::Ready]));
        let first = at(&pool(), &here.0, &here.1, 100);
        assert_eq!(at(&first, &here.0, &here.1, 900).status, first.status);
    }

    #[test]
    fn without_a_member_or_an_answer_it_waits_and_then_has_failed() {
        let empty = at(&pool(), &stands(&[]), &seen(State::Connecting, &[]), 100);
        let said_of_empty = said(&empty);
        assert_eq!(said_of_empty.0, PoolPhase::Pending);
        assert_eq!(said_of_empty.4[1..], ["Available False NoMembers", "Registered False NotAvailable"]);
        let connecting = seen(State::Connecting, &[State::Connecting]);
        let starting = at(&empty, &stands(&[1]), &connecting, 200);
        assert_eq!(said(&starting).0, PoolPhase::Pending);
        let ready = at(&starting, &stands(&[1]), &seen(State::Ready, &[State::Ready]), 300);
        let gone = at(&ready, &stands(&[0]), &connecting, 400);
        assert_eq!((said(&gone).0, said(&gone).1), (PoolPhase::Failed, 0));
    }

    #[test]
    fn a_new_leader_keeps_what_was_found_until_it_has_tried() {
        let ready = at(&pool(), &stands(&[1]), &seen(State::Ready, &[State::Ready]), 100);
        let untried = at(&ready, &stands(&[1]), &seen(State::Connecting, &[State::Connecting]), 200);
        assert_eq!(untried.status, ready.status);
        assert_eq!(at(&ready, &stands(&[1]), &Observations::default(), 200).status, ready.status);
    }

    #[test]
    fn what_its_tools_were_stands_in_the_status_and_is_not_forgotten() {
        let mut seen = seen(State::Ready, &[State::Ready]);
        let of_pool = Arc::make_mut(&mut seen).get_mut(&name("search")).unwrap();
        of_pool.pins = Arc::new([("find".to_owned(), "0123".into())].into());
        let first = at(&pool(), &stands(&[1]), &seen, 100);
        assert_eq!(first.status.clone().unwrap().pins["find"], "0123");
        let later = at(&first, &stands(&[1]), &Observations::default(), 200);
        assert_eq!(later.status.unwrap().pins["find"], "0123", "a new leader has not looked yet");
    }

    #[test]
    fn what_cannot_be_acted_on_has_failed_and_says_why() {
        let nothing = Observations::default();
        let taken = at(&pool(), &PoolStands::NameTaken, &nothing, 100);
        assert_eq!(said(&taken).0, PoolPhase::Failed);
        assert_eq!(said(&taken).4[0], "Accepted False NameTaken");
        let wrong = PoolStands::Refused("spec.selector cannot be understood".to_owned());
        assert_eq!(said(&at(&pool(), &wrong, &nothing, 100)).4[0], "Accepted False InvalidSpec");
        let prefix = State::PrefixTaken { by: "tools/old".to_owned() };
        let second = at(&pool(), &stands(&[1]), &seen(prefix.clone(), &[prefix]), 100);
        assert_eq!(said(&second).0, PoolPhase::Failed);
        assert_eq!(said(&second).4[2], "Registered False PrefixTaken");
    }
}
