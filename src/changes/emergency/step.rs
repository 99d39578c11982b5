//! What an event makes of an emergency, and what is to be told of it. Pure: time is a value, and the same event twice
//! changes nothing more.

use jiff::Timestamp;

use super::{
    captured::{add, counts, excuse, said, second, who},
    config::Terms,
    digest::short,
    scope::{shown, target_of},
    session::{Session, outcome, passed, time_after},
    words,
};
use crate::{
    api::emergency_change::{
        Breach, Captured, Confirmation, Deadline, Deadlines, EmergencyChangeSpec, EmergencyChangeStatus,
        EmergencyPhase, EmergencyScope, GitOpsStand, Outcome, Reconciliation, Revert, Review,
    },
    changes::capture::Write,
};
use kube::api::ObjectMeta;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    /// The second person has confirmed it.
    Confirmed { by: String },
    /// How GitOps stands to its scope now.
    Foreseen { stands: Vec<GitOpsStand> },
    /// A write that belongs to it.
    Wrote(Write),
    /// A write in it turned out to be nobody's who counts.
    Excused(Write),
    /// Somebody asks for one of its changes to be made.
    Used,
    /// It was made past open_emergency.
    Strange,
    /// Somebody asked for its end.
    CloseAsked { by: String },
    /// The object with this uid was looked at: undone, or not.
    Looked { uid: String, reverted: Option<Revert> },
    /// An object's changes have come this far on their way to Git.
    Reconciled { uid: String, outcome: Outcome, change_request: Option<String>, message: String },
    /// A person has reviewed it.
    Reviewed { by: String, note: String },
    /// Nothing but time.
    Time,
    /// It was told that this deadline is broken.
    Escalated(Deadline),
}

/// What is to be done once the new state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A Kubernetes event about it, and a line in the log.
    Tell { is_warning: bool, reason: &'static str, note: String },
    /// A deadline was broken.
    Escalate(Deadline),
}

fn tell(reason: &'static str, note: String) -> Action {
    Action::Tell { is_warning: false, reason, note }
}

fn warn(reason: &'static str, note: String) -> Action {
    Action::Tell { is_warning: true, reason, note }
}

/// A new emergency, asked for and not confirmed.
pub(super) fn requested(
    meta: ObjectMeta,
    spec: EmergencyChangeSpec,
    stands: Vec<GitOpsStand>,
    now: Timestamp,
    terms: &Terms,
) -> (Session, Vec<Action>) {
    let note = format!(
        "{} asks for an emergency ({}, {}); {} must confirm it.",
        spec.requested_by, spec.incident, spec.severity, spec.second_person
    );
    let deadlines =
        Deadlines { expires_at: Some(time_after(now, terms.confirm_within)), ..Deadlines::default() };
    let status = EmergencyChangeStatus {
        requested_at: Some(second(now)),
        deadlines,
        gitops: stands,
        ..EmergencyChangeStatus::default()
    };
    let session = settled(Session { meta, spec, status }, now);
    (session, vec![tell("Requested", note)])
}

/// The record of a write that no emergency covers. The same write always makes the same name.
pub(super) fn unsanctioned(
    namespace: Option<&str>,
    write: &Write,
    now: Timestamp,
    terms: &Terms,
) -> (Session, Vec<Action>) {
    let by = who(write);
    let meta = ObjectMeta {
        name: Some(format!("unsanctioned-{}", short(&[&write.uid, &write.version]))),
        namespace: namespace.map(str::to_owned),
        ..ObjectMeta::default()
    };
    let spec = EmergencyChangeSpec {
        unsanctioned: true,
        incident: String::new(),
        severity: String::new(),
        reason: String::new(),
        requested_by: by,
        second_person: String::new(),
        scope: EmergencyScope { objects: vec![target_of(&write.object)], ..EmergencyScope::default() },
        budget: terms.budget,
        expected: Vec::new(),
    };
    let status =
        EmergencyChangeStatus { requested_at: Some(second(now)), ..EmergencyChangeStatus::default() };
    let (session, actions) = step(Session { meta, spec, status }, now, Event::Wrote(write.clone()), terms);
    let note = format!("{} without an emergency.", said(write));
    (session, std::iter::once(warn("Unsanctioned", note)).chain(actions).collect())
}

/// What an event makes of an emergency.
pub(super) fn step(session: Session, now: Timestamp, event: Event, terms: &Terms) -> (Session, Vec<Action>) {
    let mut session = session;
    let mut actions = happen(&mut session, now, event, terms);
    actions.extend(pass(&mut session, now, terms));
    (settled(session, now), actions)
}

fn happen(session: &mut Session, now: Timestamp, event: Event, terms: &Terms) -> Vec<Action> {
    let status = &mut session.status;
    let said_by = |by: String| Some(Confirmation { by, at: second(now) });
    match event {
        Event::Confirmed { by } if status.confirmed.is_none() && status.lapsed.is_none() => {
            status.confirmed = said_by(by);
            Vec::new()
        }
        Event::Foreseen { stands } => foreseen(session, now, stands, terms),
        Event::Used => {
            awake(status, now, terms);
            Vec::new()
        }
        Event::Strange => strange(status, now),
        Event::Wrote(write) if counts(&write) => wrote(session, &write, terms),
        Event::Excused(write) => {
            excuse(status, &write);
            if session.spec.unsanctioned && status.captured.is_empty() && status.lapsed.is_none() {
                let by = "what was learned later: GitOps or the system wrote it".to_owned();
                status.lapsed = said_by(by);
            }
            Vec::new()
        }
        Event::CloseAsked { by } => {
            if status.active_from.is_none() && !session.spec.unsanctioned {
                if status.lapsed.is_none() {
                    status.lapsed = said_by(by);
                }
            } else if status.close_asked.is_none() && status.closed_at.is_none() {
                status.close_asked = said_by(by);
            }
            Vec::new()
        }
        Event::Looked { uid, reverted } => looked(status, now, &uid, reverted),
        Event::Reconciled { uid, outcome, change_request, message } => {
            let made = Reconciliation { outcome, change_request, message, at: second(now) };
            reconciled(status, &uid, made)
        }
        Event::Reviewed { by, note } if status.reviewed.is_none() => {
            let told = format!("{by} has reviewed it.");
            status.reviewed = Some(Review { by, at: second(now), note });
            vec![tell("Reviewed", told)]
        }
        Event::Escalated(deadline) => {
            let of = status.breaches.iter_mut().filter(|breach| breach.deadline == deadline);
            of.for_each(|breach| breach.escalated = true);
            Vec::new()
        }
        Event::Confirmed { .. } | Event::Wrote(_) | Event::Reviewed { .. } | Event::Time => Vec::new(),
    }
}

/// What reverts at the beginning is remembered: when it no longer does, that is a pause, however it was made.
fn foreseen(session: &mut Session, now: Timestamp, stands: Vec<GitOpsStand>, terms: &Terms) -> Vec<Action> {
    let Session { spec, status, .. } = session;
    let begins = status.confirmed.is_some() && status.active_from.is_none() && status.lapsed.is_none();
    let was_paused = status.gitops.iter().any(|stand| stand.paused);
    let mut known = std::mem::take(&mut status.gitops);
    for before in known.iter_mut().filter(|before| !stands.iter().any(|stand| stand.by == before.by)) {
        // What is gone is not paused.
        before.paused = false;
    }
    for stand in stands {
        match known.iter_mut().find(|before| before.by == stand.by) {
            Some(before) => {
                before.paused = stand.paused || (before.reverts && !stand.reverts);
                before.reverts |= stand.reverts;
                before.advice = stand.advice;
            }
            None => known.push(stand),
        }
    }
    status.gitops = known;
    let mut actions = Vec::new();
    if begins {
        status.active_from = Some(second(now));
        status.deadlines.expires_at = Some(time_after(now, spec.budget.duration()));
        awake(status, now, terms);
        let until = time_after(now, spec.budget.duration()).0;
        actions.push(tell("Active", format!("Changes in its scope belong to it until {until}.")));
        for stand in status.gitops.iter().filter(|stand| stand.reverts && !stand.paused) {
            actions.push(warn(
                "WillBeReverted",
                format!("{} undoes changes by hand: {}.", stand.by, stand.advice),
            ));
        }
    }
    let is_paused = status.gitops.iter().any(|stand| stand.paused);
    if was_paused && !is_paused {
        actions.push(tell("GitOpsResumed", "Every pause of GitOps is lifted.".to_owned()));
    }
    actions
}

/// Something happened in it: it does not end by itself for a while. Never moved back.
fn awake(status: &mut EmergencyChangeStatus, at: Timestamp, terms: &Terms) {
    if status.active_from.is_none() || status.close_asked.is_some() || status.closed_at.is_some() {
        return;
    }
    let until = time_after(at, terms.idle);
    if status.deadlines.idle_at.as_ref().is_none_or(|known| known.0 < until.0) {
        status.deadlines.idle_at = Some(until);
    }
}

/// Whoever made it, their name is not proven and nobody confirmed it: it covers nothing, and says so.
fn strange(status: &mut EmergencyChangeStatus, now: Timestamp) -> Vec<Action> {
    if status.lapsed.is_some() {
        return Vec::new();
    }
    let by = "pilothouse: it was not opened with open_emergency".to_owned();
    status.lapsed = Some(Confirmation { by, at: second(now) });
    vec![warn("NotAccepted", words::STRANGE.to_owned())]
}

fn wrote(session: &mut Session, write: &Write, terms: &Terms) -> Vec<Action> {
    let status = &mut session.status;
    if !add(status, write) {
        return Vec::new();
    }
    awake(status, write.at, terms);
    let deadlines = &mut status.deadlines;
    // Counted from the first write that is known: a deadline that stands is never moved.
    if deadlines.reconcile_by.is_none() {
        deadlines.reconcile_by = Some(time_after(write.at, terms.reconcile_within));
        deadlines.review_by = Some(time_after(write.at, terms.review_within));
    }
    vec![tell("Captured", format!("{}.", said(write)))]
}

fn looked(
    status: &mut EmergencyChangeStatus,
    now: Timestamp,
    uid: &str,
    reverted: Option<Revert>,
) -> Vec<Action> {
    let is_closed = status.closed_at.is_some();
    let Some(captured) = status.captured.iter_mut().find(|captured| captured.uid == uid) else {
        return Vec::new();
    };
    let Some(revert) = reverted else {
        captured.reverted = None;
        return Vec::new();
    };
    let mut actions = Vec::new();
    if captured.reverted.is_none() {
        let note = format!("{} was undone at {} by {}.", shown(&captured.object), revert.at.0, revert.by);
        actions.push(warn("Undone", note));
        captured.reverted = Some(revert);
    }
    let open = outcome(captured);
    if is_closed && matches!(open, None | Some(Outcome::Failed | Outcome::Declined | Outcome::NeedsPerson)) {
        captured.reconciliation = Some(undone(captured, now));
    }
    actions
}

fn undone(captured: &Captured, now: Timestamp) -> Reconciliation {
    let proof = captured.reverted.as_ref().map_or_else(String::new, |revert| {
        let version = if revert.version.is_empty() {
            String::new()
        } else {
            format!(", seen in version {}", revert.version)
        };
        format!("undone at {} by {}{version}", revert.at.0, revert.by)
    });
    Reconciliation { outcome: Outcome::Reverted, change_request: None, message: proof, at: second(now) }
}

fn reconciled(status: &mut EmergencyChangeStatus, uid: &str, made: Reconciliation) -> Vec<Action> {
    let Some(captured) = status.captured.iter_mut().find(|captured| captured.uid == uid) else {
        return Vec::new();
    };
    if let Some(known) = &captured.reconciliation
        && known.outcome == made.outcome
        && known.change_request == made.change_request
        && known.message == made.message
        // When a failed one was tried last decides when it is tried next.
        && made.outcome != Outcome::Failed
    {
        return Vec::new();
    }
    let is_news = outcome(captured) != Some(made.outcome);
    let note = words::of_reconciliation(&captured.object, &made);
    let is_warning = matches!(made.outcome, Outcome::Failed | Outcome::Declined | Outcome::NeedsPerson);
    captured.reconciliation = Some(made);
    let action = if is_warning { warn("NotReconciled", note) } else { tell("Reconciled", note) };
    if is_news { vec![action] } else { Vec::new() }
}

/// What time alone does.
fn pass(session: &mut Session, now: Timestamp, terms: &Terms) -> Vec<Action> {
    let mut actions = Vec::new();
    if session.status.reviewed.is_some() || session.status.lapsed.is_some() {
        return actions;
    }
    if !session.spec.unsanctioned && session.status.confirmed.is_none() {
        if session.is_over(now) {
            let by = format!("time: {} has not confirmed it", session.spec.second_person);
            session.status.lapsed = Some(Confirmation { by, at: second(now) });
            actions.push(tell("Lapsed", "Nobody confirmed it in time.".to_owned()));
        }
        return actions;
    }
    let idle_at = session.status.deadlines.idle_at.clone();
    if session.phase(now) == EmergencyPhase::Active && passed(idle_at.as_ref(), now) {
        let by = "time: nothing was written or applied in it for a while".to_owned();
        session.status.close_asked = Some(Confirmation { by, at: second(now) });
        actions.push(tell("Idle", "Nothing happened in it for a while, so it is closed.".to_owned()));
    }
    if session.status.closed_at.is_none() && is_to_be_closed(session, now, terms) {
        session.status.closed_at = Some(second(now));
        let deadlines = &mut session.status.deadlines;
        deadlines.review_by.get_or_insert_with(|| time_after(now, terms.review_within));
        let count = crate::answer::counted(session.status.captured.len(), "object");
        actions.push(tell("Closed", format!("{count} changed in it.")));
    }
    for (deadline, is_done) in
        [(Deadline::Reconcile, session.is_proposed()), (Deadline::Review, session.status.reviewed.is_some())]
    {
        let deadlines = &session.status.deadlines;
        let by = match deadline {
            Deadline::Reconcile => deadlines.reconcile_by.as_ref(),
            Deadline::Review => deadlines.review_by.as_ref(),
        };
        if !is_done && passed(by, now) && !session.has_broken(deadline) {
            let message = words::of_breach(session, deadline);
            let breach = Breach { deadline, at: second(now), message, escalated: false };
            session.status.breaches.push(breach);
        }
    }
    actions
}

/// What is to be told of deadlines that are broken, and was not.
pub(super) fn escalations(session: &Session) -> Vec<(Deadline, Vec<Action>)> {
    let open = session.status.breaches.iter().filter(|breach| !breach.escalated);
    let actions = |breach: &Breach| {
        vec![warn("DeadlineBroken", breach.message.clone()), Action::Escalate(breach.deadline)]
    };
    open.map(|breach| (breach.deadline, actions(breach))).collect()
}

fn is_to_be_closed(session: &Session, now: Timestamp, terms: &Terms) -> bool {
    let EmergencyChangeStatus { active_from, close_asked, deadlines, captured, .. } = &session.status;
    if active_from.is_none() && !session.spec.unsanctioned {
        return false;
    }
    let settled =
        close_asked.as_ref().is_some_and(|asked| now >= super::session::after(asked.at.0, terms.settle));
    let latest = deadlines
        .reconcile_by
        .as_ref()
        .is_some_and(|by| super::session::after(now, terms.head_start()) >= by.0);
    let nothing_came = captured.is_empty()
        && deadlines.expires_at.as_ref().is_some_and(|by| now >= super::session::after(by.0, terms.settle));
    let coalesced = session.spec.unsanctioned
        && captured
            .first()
            .is_some_and(|first| now >= super::session::after(first.first_at.0, terms.coalesce));
    settled || latest || nothing_came || coalesced
}

/// With everything that follows from the rest.
fn settled(session: Session, now: Timestamp) -> Session {
    let mut session = session;
    let phase: EmergencyPhase = session.phase(now);
    session.status.phase = Some(phase);
    session.status.message = Some(words::of_phase(&session, phase));
    let requests = session.status.captured.iter().filter_map(|captured| captured.reconciliation.as_ref());
    let mut requests: Vec<String> = requests.filter_map(|made| made.change_request.clone()).collect();
    requests.dedup();
    session.status.change_requests = requests;
    session.status.conditions = words::conditions(&session, now);
    session
}
