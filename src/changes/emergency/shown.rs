//! What the tools answer of emergencies. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{kinds::kind_and_group, scope::shown, session::Session, sight::Sight, words};
use crate::{
    answer::{Answer, Table, counted},
    api::emergency_change::{
        Captured, CapturedField, CapturedVerb, EmergencyChangeSpec, EmergencyChangeStatus, EmergencyScope,
        ExpectedChange,
    },
};

/// Fields of one object that are shown; the others are counted.
const FIELDS: usize = 10;
/// Objects that are shown.
const OBJECTS: usize = 20;
/// Rows of a list.
const ROWS: usize = 50;

/// With a capital letter, and without a full stop at its end.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.trim_end_matches('.').chars();
    characters
        .next()
        .map_or(String::new(), |first| format!("{}{}", first.to_uppercase(), characters.as_str()))
}

/// `blind`: why GitOps could not be looked at.
pub(super) fn opened(session: &Session, blind: Option<&str>, now: Timestamp) -> Answer {
    let mut answer = one(session, now);
    if let Some(why) = blind {
        answer.text.push_str(&format!(
            "GitOps could not be looked at ({why}): find out with find_source whether it will undo the change.\n"
        ));
    }
    answer
}

/// With what would not be captured.
pub(super) fn warned(answer: Answer, sight: &Sight) -> Answer {
    let text = answer.text + sight.warning().as_deref().unwrap_or_default();
    Answer { text, ..answer }
}

pub(super) fn applied(session: &Session, what: &str, paths: &[String], now: Timestamp) -> Answer {
    let Answer { text, structured, is_error } = one(session, now);
    let made =
        format!("Changed {what}: {}. It was made with your rights and is captured.\n", paths.join(", "));
    Answer { text: format!("{made}{text}"), structured, is_error }
}

pub(super) fn closed(session: &Session, settle: Duration, now: Timestamp) -> Answer {
    let Answer { text, structured, is_error } = one(session, now);
    let waits = session.status.close_asked.is_some() && session.status.closed_at.is_none();
    let next = if waits {
        format!(
            "It ends now. Writes of before may still be told for {} s; then it is proposed to Git: get_emergency id={} shows how.\n",
            settle.as_secs(),
            session.name()
        )
    } else {
        String::new()
    };
    Answer { text: format!("{text}{next}"), structured, is_error }
}

/// Everything about one.
pub(super) fn one(session: &Session, now: Timestamp) -> Answer {
    let phase = session.phase(now);
    let Session { meta: _, spec, status } = session;
    let mut text = heading(session, phase.as_str());
    text.push_str(&format!("{}.\n", sentence(&words::of_phase(session, phase))));
    if !spec.unsanctioned {
        text.push_str(&format!("Scope: {}. Reason: {}\n", scope(&spec.scope), spec.reason));
    }
    for (at, ExpectedChange { target, edits }) in spec.expected.iter().enumerate() {
        let edits: Vec<String> = edits.iter().map(|edit| format!("{} = {}", edit.path, edit.value)).collect();
        text.push_str(&format!("Expected change {}: {}: {}\n", at + 1, shown(target), edits.join(", ")));
    }
    for stand in &status.gitops {
        if stand.paused {
            text.push_str(&format!("GitOps: {} is paused; {}.\n", stand.by, stand.advice));
        } else if stand.reverts {
            text.push_str(&format!("GitOps: {} will undo changes by hand; {}.\n", stand.by, stand.advice));
        }
    }
    for captured in status.captured.iter().take(OBJECTS) {
        text.push_str(&of_captured(captured));
    }
    let hidden = status.captured.len().saturating_sub(OBJECTS);
    if hidden > 0 {
        text.push_str(&format!(
            "{} more, in kubectl get emergencychange {}.\n",
            counted(hidden, "object"),
            session.name()
        ));
    }
    if status.left_out > 0 {
        text.push_str(&format!(
            "{} found no place here: the audit record has them.\n",
            counted(usize::try_from(status.left_out).unwrap_or_default(), "object or field")
        ));
    }
    for breach in &status.breaches {
        text.push_str(&format!("Broken deadline: {}\n", breach.message));
    }
    if let Some(review) = &status.reviewed {
        text.push_str(&format!("Reviewed by {} at {}: {}\n", review.by, review.at.0, review.note));
    }
    Answer::structured(text, record(session, phase.as_str()))
}

fn heading(session: &Session, phase: &str) -> String {
    let EmergencyChangeSpec { unsanctioned, incident, severity, requested_by, .. } = &session.spec;
    let name = session.name();
    if *unsanctioned {
        format!("Unsanctioned change {name} of {requested_by}: {phase}\n")
    } else {
        format!("Emergency {name} for {incident} ({severity}), asked for by {requested_by}: {phase}\n")
    }
}

fn scope(scope: &EmergencyScope) -> String {
    let EmergencyScope { namespaces, kinds, objects } = scope;
    let mut parts = Vec::new();
    if !namespaces.is_empty() {
        let kinds: Vec<String> = kinds.iter().map(|kind| kind_and_group(kind).0).collect();
        let of = if kinds.is_empty() { "everything".to_owned() } else { kinds.join(", ") };
        parts.push(format!("{of} in {}", namespaces.join(", ")));
    }
    parts.extend(objects.iter().map(shown));
    parts.join("; ")
}

fn of_captured(captured: &Captured) -> String {
    let Captured {
        object,
        uid: _,
        verb,
        first_at: _,
        last_at,
        by,
        versions,
        older,
        fields,
        reverted,
        reconciliation,
    } = captured;
    let did = match verb {
        CapturedVerb::Created => "made",
        CapturedVerb::Updated => "changed",
        CapturedVerb::Deleted => "deleted",
    };
    let times = counted(versions.len() + usize::try_from(*older).unwrap_or_default(), "write");
    let mut text = format!("{} {did} by {} ({times}, last {})\n", shown(object), by.join(", "), last_at.0);
    for CapturedField { path, before, after } in fields.iter().take(FIELDS) {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
        text.push_str(&format!("  {path}: {} -> {}\n", value(before), value(after)));
    }
    if fields.len() > FIELDS {
        text.push_str(&format!("  and {} more fields\n", fields.len() - FIELDS));
    }
    if let Some(revert) = reverted {
        text.push_str(&format!("  undone at {} by {}\n", revert.at.0, revert.by));
    }
    if let Some(made) = reconciliation {
        text.push_str(&format!("  {}\n", words::of_reconciliation(object, made)));
    }
    text
}

fn record(session: &Session, phase: &str) -> Value {
    let Session { meta: _, spec, status } = session;
    let EmergencyChangeStatus { deadlines, change_requests, captured, breaches, writes, .. } = status;
    json!({
        "id": session.name(), "phase": phase, "unsanctioned": spec.unsanctioned, "incident": spec.incident,
        "requestedBy": spec.requested_by, "secondPerson": spec.second_person, "deadlines": deadlines,
        "writes": writes, "captured": captured.iter().map(|one| shown(&one.object)).collect::<Vec<_>>(),
        "changeRequests": change_requests, "breaches": breaches.len(), "paused": session.is_paused(),
    })
}

/// Those that are not over, the most urgent first.
pub(super) fn list(sessions: &[Session], now: Timestamp) -> Answer {
    let mut open: Vec<&Session> = sessions.iter().filter(|session| !session.phase(now).is_final()).collect();
    open.sort_by_key(|session| {
        let deadlines = &session.status.deadlines;
        let by = [&deadlines.expires_at, &deadlines.reconcile_by, &deadlines.review_by];
        let moments = by.into_iter().flatten().map(|at| at.0).filter(|at| *at > now);
        (session.status.breaches.is_empty(), moments.min())
    });
    let over = sessions.len() - open.len();
    let mut table = Table::new(["ID", "PHASE", "INCIDENT", "BY", "OBJECTS", "RECONCILE BY", "REVIEW BY"]);
    for session in open.iter().take(ROWS) {
        let Session { meta: _, spec, status } = session;
        let at = |at: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
            at.as_ref().map_or_else(|| "-".to_owned(), |at| at.0.to_string())
        };
        table.push(vec![
            session.name().to_owned(),
            session.phase(now).as_str().to_owned(),
            if spec.unsanctioned { "unsanctioned".to_owned() } else { spec.incident.clone() },
            spec.requested_by.clone(),
            status.captured.len().to_string(),
            at(&status.deadlines.reconcile_by),
            at(&status.deadlines.review_by),
        ]);
    }
    let count = counted(open.len(), "emergency").replace("emergencys", "emergencies");
    let text = if open.is_empty() {
        format!("No emergency is open; {over} are over.\n")
    } else {
        format!("{}{count} not over, the most urgent first; {over} over.\n", table.render())
    };
    let rows: Vec<Value> =
        open.iter().take(ROWS).map(|session| record(session, session.phase(now).as_str())).collect();
    Answer::structured(text, json!({ "emergencies": rows }))
}
