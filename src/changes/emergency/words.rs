//! How an emergency stands, in sentences and conditions. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{captured::second, scope::shown, session::Session};
use crate::{
    answer::counted,
    api::emergency_change::{
        Captured, Deadline, EmergencyCondition, EmergencyPhase, EmergencyTarget, Outcome, Reconciliation,
    },
    redact,
};

/// Of one that was made with kubectl.
pub(super) const STRANGE: &str = "An EmergencyChange that is made with kubectl covers nothing, since it proves neither who asks nor who confirms: delete it, and open one with open_emergency (incident, severity, reason, second_person, namespaces) over MCP with a token of your own; the second person then confirms it with open_emergency second=ID.";

fn at(time: Option<&Time>) -> String {
    time.map_or_else(|| "an unknown time".to_owned(), |time| time.0.to_string())
}

/// How it stands and what comes next.
pub(super) fn of_phase(session: &Session, phase: EmergencyPhase) -> String {
    let Session { meta: _, spec, status } = session;
    let deadlines = &status.deadlines;
    let name = session.name();
    let review = format!(
        "a person who took no part reviews it with close_emergency id={name} reviewed=... by {}{}",
        at(deadlines.review_by.as_ref()),
        if session.is_paused() { ", once the pause of GitOps is lifted" } else { "" }
    );
    match phase {
        EmergencyPhase::Requested => format!(
            "the second person {} must confirm it with open_emergency second={name} by {}; until then nothing is covered",
            spec.second_person,
            at(deadlines.expires_at.as_ref())
        ),
        EmergencyPhase::Validated => {
            "confirmed; it becomes active as soon as GitOps was looked at".to_owned()
        }
        EmergencyPhase::Active => format!(
            "active until {}, or until {} if nothing more happens in it; {} changed so far; end it with close_emergency id={name}",
            at(deadlines.expires_at.as_ref()),
            at(deadlines.idle_at.as_ref()),
            counted(status.captured.len(), "object")
        ),
        EmergencyPhase::Capturing if spec.unsanctioned => format!(
            "{} wrote {} without an emergency; it is brought back to Git by {}",
            spec.requested_by,
            counted(status.captured.len(), "object"),
            at(deadlines.reconcile_by.as_ref())
        ),
        EmergencyPhase::Capturing => format!(
            "its time is over; {} changed, {}",
            counted(status.captured.len(), "object"),
            match &status.close_asked {
                Some(_) => "what slower sources still tell is waited for".to_owned(),
                None => format!(
                    "close it with close_emergency id={name}, or it is closed in time to be reconciled by {}",
                    at(deadlines.reconcile_by.as_ref())
                ),
            }
        ),
        EmergencyPhase::Closed if status.captured.is_empty() => format!("nothing was changed; {review}"),
        EmergencyPhase::Closed => format!("{}; {}", unreconciled(&status.captured), review),
        EmergencyPhase::PullRequestOpened => {
            format!("{} must be reviewed and merged; then {review}", changes(&status.change_requests))
        }
        EmergencyPhase::Merged => format!("Git holds what was changed; {review}"),
        EmergencyPhase::Reverted => format!("everything is undone in the cluster; {review}"),
        EmergencyPhase::Reviewed => "reviewed and over".to_owned(),
        EmergencyPhase::Breached => {
            let last = status.breaches.last().map_or_else(String::new, |breach| breach.message.clone());
            format!("{last} {review}")
        }
        EmergencyPhase::Lapsed if !session.is_ours() => STRANGE.trim_end_matches('.').to_owned(),
        EmergencyPhase::Lapsed => {
            let by = status.lapsed.as_ref().map_or("nobody", |lapsed| lapsed.by.as_str());
            format!("it never became active (ended by {by}); open another one if it is still needed")
        }
    }
}

fn changes(ids: &[String]) -> String {
    match ids {
        [one] => format!("change {one}"),
        several => format!("changes {}", several.join(", ")),
    }
}

/// What of it is not on its way to Git.
fn unreconciled(captured: &[Captured]) -> String {
    let open: Vec<String> = captured
        .iter()
        .filter_map(|one| match &one.reconciliation {
            None => Some(format!("{} is about to be proposed", shown(&one.object))),
            Some(made) => matches!(made.outcome, Outcome::Failed | Outcome::Declined | Outcome::NeedsPerson)
                .then(|| of_reconciliation(&one.object, made)),
        })
        .take(3)
        .collect();
    if open.is_empty() { "everything is on its way to Git".to_owned() } else { open.join("; ") }
}

/// How far one object's changes have come.
pub(super) fn of_reconciliation(object: &EmergencyTarget, made: &Reconciliation) -> String {
    let Reconciliation { outcome, change_request, message, at: _ } = made;
    let id = change_request.as_deref().unwrap_or("?");
    let why = if message.is_empty() { String::new() } else { format!(": {message}") };
    let object = shown(object);
    match outcome {
        Outcome::Proposed if message.is_empty() => format!("{object} is proposed as change {id}"),
        Outcome::Proposed => format!("{object} is proposed as change {id} ({message})"),
        Outcome::Merged => format!("{object} is in Git by change {id}"),
        Outcome::InGit => format!("{object} stands in Git as it is in the cluster"),
        Outcome::Reverted => format!("{object} is {message}"),
        Outcome::Failed => format!("{object} could not be proposed and is tried again{why}"),
        Outcome::Declined => format!("change {id} of {object} was closed without being merged{why}"),
        Outcome::NeedsPerson => format!("{object} needs a person{why}"),
    }
}

/// What was not done in time.
pub(super) fn of_breach(session: &Session, deadline: Deadline) -> String {
    let deadlines = &session.status.deadlines;
    match deadline {
        Deadline::Reconcile => format!(
            "What was changed was not brought back to Git by {}: {}.",
            at(deadlines.reconcile_by.as_ref()),
            unreconciled(&session.status.captured)
        ),
        Deadline::Review => format!("Nobody has reviewed it by {}.", at(deadlines.review_by.as_ref())),
    }
}

/// A condition's transition time moves only when its status does.
pub(super) fn conditions(session: &Session, now: Timestamp) -> Vec<Condition> {
    let status = &session.status;
    let mut made = Vec::new();
    let mut add = |type_: EmergencyCondition, holds: bool, reason: &str, message: String| {
        let (type_, holds) = (type_.to_string(), if holds { "True" } else { "False" });
        let known = status.conditions.iter().find(|known| known.type_ == type_ && known.status == holds);
        made.push(Condition {
            last_transition_time: known
                .map_or_else(|| second(now), |known| known.last_transition_time.clone()),
            message: redact::shown(&message).chars().take(1024).collect(),
            observed_generation: session.meta.generation,
            reason: reason.to_owned(),
            status: holds.to_owned(),
            type_,
        });
    };
    if !session.is_ours() {
        add(EmergencyCondition::Accepted, false, "NotOpenedWithTool", STRANGE.to_owned());
    }
    if !status.captured.is_empty() {
        let (holds, reason, message) = if session.is_reconciled() {
            (true, "Reconciled", "Git and the cluster agree on what was changed.".to_owned())
        } else if session.is_proposed() {
            (false, "Proposed", format!("{} must be merged.", changes(&status.change_requests)))
        } else {
            (false, "NotProposed", format!("{}.", unreconciled(&status.captured)))
        };
        add(EmergencyCondition::Reconciled, holds, reason, message);
    }
    match status.breaches.last() {
        Some(breach) => {
            add(EmergencyCondition::DeadlinesKept, false, "DeadlineBroken", breach.message.clone());
        }
        None if status.deadlines.review_by.is_some() => {
            add(EmergencyCondition::DeadlinesKept, true, "InTime", "No deadline was broken.".to_owned());
        }
        None => {}
    }
    if !status.gitops.is_empty() {
        let paused: Vec<String> = status
            .gitops
            .iter()
            .filter(|stand| stand.paused)
            .map(|stand| format!("{} is paused: {}", stand.by, stand.advice))
            .collect();
        match paused.as_slice() {
            [] => {
                add(EmergencyCondition::GitOpsResumed, true, "NotPaused", "GitOps is not paused.".to_owned())
            }
            paused => {
                add(EmergencyCondition::GitOpsResumed, false, "Paused", format!("{}.", paused.join("; ")))
            }
        }
    }
    made
}
