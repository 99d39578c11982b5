//! What the tools ask of emergencies, answered.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde_json::Value;

use super::{
    config::Execution,
    criteria,
    digest::short,
    gitops,
    named::{self, KindNames},
    parts::RecordError,
    room::{EmergencyRoom, Room},
    scope::shown,
    session::{Session, outcome},
    shown as shows,
    sight::sight,
    step::{Event, requested},
};
use crate::{
    answer::Answer,
    api::emergency_change::{EmergencyChangeSpec, EmergencyPhase, EmergencyScope, GitOpsStand, Outcome},
    audit::Line,
    caller::Caller,
    redact,
    tools::{Emergencies, EmergencyAsk, EmergencyOpening},
};

impl Emergencies for EmergencyRoom {
    fn ask<'a>(&'a self, caller: &'a Caller, ask: EmergencyAsk) -> BoxFuture<'a, Answer> {
        let (room, caller) = (Arc::clone(&self.0), caller.clone());
        Box::pin(async move {
            // A task of its own: a caller that hangs up must not stop a write half-way.
            match tokio::spawn(async move { room.answer(&caller, ask).await }).await {
                Ok(answer) => answer,
                Err(error) => Answer::error(format!(
                    "The emergency's answer was not finished ({error}): get_emergency says how far it came."
                )),
            }
        })
    }

    fn executes(&self) -> bool {
        self.0.terms.execution == Execution::AsCaller && self.0.parts.hands.is_some()
    }
}

impl Room {
    async fn answer(&self, caller: &Caller, ask: EmergencyAsk) -> Answer {
        let (did, target) = match &ask {
            EmergencyAsk::Open(opening) => ("emergency/open", opening.incident.clone()),
            EmergencyAsk::Confirm { id } => ("emergency/confirm", id.clone()),
            EmergencyAsk::Get { id } => ("emergency/get", id.clone().unwrap_or_default()),
            EmergencyAsk::Apply { id, number } => ("emergency/apply", format!("{id} change {number}")),
            EmergencyAsk::Close { id } => ("emergency/close", id.clone()),
            EmergencyAsk::Review { id, .. } => ("emergency/review", id.clone()),
        };
        let answered = match ask {
            EmergencyAsk::Open(opening) => self.open(caller, opening).await,
            EmergencyAsk::Confirm { id } => self.confirm(caller, &id).await,
            EmergencyAsk::Get { id } => self.get(caller, id.as_deref()).await,
            EmergencyAsk::Apply { id, number } => self.apply(caller, &id, number).await,
            EmergencyAsk::Close { id } => self.close(caller, &id).await,
            EmergencyAsk::Review { id, note } => self.review(caller, &id, &note).await,
        };
        let problem = match answered {
            Ok(answer) => return answer,
            // What the API server or a parser quotes may be a secret.
            Err(problem) => redact::shown(&problem),
        };
        let line = Line::now(caller, did, &target, "refused").with("reason", problem.as_str());
        if let Err(error) = self.parts.audit.queue(line) {
            tracing::error!(%error, "a refused emergency is not in the audit record");
        }
        Answer::error(format!("{}.", shows::sentence(&problem)))
    }

    async fn open(&self, caller: &Caller, opening: EmergencyOpening) -> Result<Answer, String> {
        self.terms.admits(caller)?;
        let names = self.names(named::asked(&opening)).await?;
        let spec = criteria::check(named::named(opening, &names)?, caller, &self.terms)?;
        let sight = sight(&spec.scope, &self.terms.watched, &names);
        sight.refuse_blind()?;
        if let Some(open) = self.same(&spec).await? {
            return Ok(shows::warned(shows::one(&open, self.now()), &sight));
        }
        let (stands, blind) = match self.foresee(caller, &spec.scope).await {
            Ok(stands) => (stands, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let now = self.now();
        let meta = ObjectMeta {
            name: Some(name(&spec, now)),
            namespace: self.parts.namespace.clone(),
            ..ObjectMeta::default()
        };
        let made = requested(meta, spec, stands, now, &self.terms);
        let spec = &made.0.spec;
        let line = Line::now(caller, "emergency/open", made.0.name(), "requested")
            .with("incident", spec.incident.as_str())
            .with("severity", spec.severity.as_str())
            .with("secondPerson", spec.second_person.as_str())
            .with("budget", spec.budget.to_string())
            .with("scope", serde_json::to_string(&spec.scope).unwrap_or_default())
            .with("notCaptured", sight.warning().unwrap_or_default());
        match self.create(made, line).await {
            Ok(session) => {
                let opened = shows::opened(&session, blind.as_deref(), self.now());
                Ok(shows::warned(opened, &sight))
            }
            Err(RecordError::Outdated) => {
                Err("the same emergency is being opened right now: ask again".to_owned())
            }
            Err(RecordError::Failed(why)) => Err(why),
        }
    }

    /// What the cluster calls these kinds, and those that are captured.
    async fn names(&self, asked: BTreeSet<String>) -> Result<KindNames, String> {
        let watched = self.terms.watched.kinds.iter().cloned();
        self.parts.eyes.kinds(asked.into_iter().chain(watched).collect()).await
    }

    /// The one that the same person has opened for the same, and that is not over.
    async fn same(&self, spec: &EmergencyChangeSpec) -> Result<Option<Session>, String> {
        let now = self.now();
        let is_it = |session: &Session| {
            let phase = session.phase(now);
            session.spec == *spec
                && matches!(
                    phase,
                    EmergencyPhase::Requested | EmergencyPhase::Validated | EmergencyPhase::Active
                )
        };
        Ok(self.sessions().await?.into_iter().find(is_it))
    }

    async fn foresee(&self, caller: &Caller, scope: &EmergencyScope) -> Result<Vec<GitOpsStand>, String> {
        let appliers = self.parts.eyes.appliers(Some(caller)).await?;
        let mut objects: Vec<Value> = Vec::new();
        for target in &scope.objects {
            objects.extend(self.parts.eyes.object(Some(caller), target).await?);
        }
        Ok(gitops::stands(&appliers, &objects, scope))
    }

    async fn confirm(&self, caller: &Caller, id: &str) -> Result<Answer, String> {
        self.terms.admits(caller)?;
        let confirmed = self
            .amend(id, caller, |session, now| {
                let EmergencyChangeSpec { unsanctioned, requested_by, second_person, .. } = &session.spec;
                if *unsanctioned || !session.is_ours() {
                    return Err(format!(
                        "{id} was not opened with open_emergency: there is nothing to confirm"
                    ));
                }
                if *requested_by == caller.user {
                    return Err(
                        "you asked for it, so another person must confirm it with their own identity"
                            .to_owned(),
                    );
                }
                if *second_person != caller.user {
                    return Err(format!("its second person is {second_person}, not you"));
                }
                match session.phase(now) {
                    EmergencyPhase::Requested if session.is_over(now) => Err(late(session)),
                    EmergencyPhase::Requested => Ok(Some(Event::Confirmed { by: caller.user.clone() })),
                    EmergencyPhase::Lapsed => Err(late(session)),
                    _ => Ok(None),
                }
            })
            .await?;
        // What GitOps does is looked at once more, now that time begins to count.
        let stands = match self.foresee(caller, &confirmed.spec.scope).await {
            Ok(stands) => stands,
            Err(_) => confirmed.status.gitops.clone(),
        };
        let active = self
            .amend(id, caller, |session, _| {
                let begins = session.status.confirmed.is_some() && session.status.active_from.is_none();
                Ok(begins.then(|| Event::Foreseen { stands: stands.clone() }))
            })
            .await?;
        self.woken.notify_one();
        let answer = shows::one(&active, self.now());
        let scope = &active.spec.scope;
        Ok(match self.names(named::asked_in(scope)).await {
            Ok(names) => shows::warned(answer, &sight(scope, &self.terms.watched, &names)),
            // The first person was told.
            Err(_) => answer,
        })
    }

    async fn get(&self, caller: &Caller, id: Option<&str>) -> Result<Answer, String> {
        let sees_all = !caller.is_impersonated() || self.parts.eyes.may_see_records(caller).await?;
        let sees = |session: &Session| {
            sees_all || session.took_part(&caller.user) || session.spec.second_person == caller.user
        };
        let now = self.now();
        let sessions: Vec<Session> = self.sessions().await?.into_iter().filter(sees).collect();
        match id {
            Some(id) => sessions
                .iter()
                .find(|session| session.name() == id)
                .map(|session| shows::one(session, now))
                .ok_or_else(|| {
                    format!(
                        "there is no emergency {:?}: get_emergency without an id lists those that are not over",
                        redact::shown(id)
                    )
                }),
            None => Ok(shows::list(&sessions, now)),
        }
    }

    async fn close(&self, caller: &Caller, id: &str) -> Result<Answer, String> {
        self.terms.admits(caller)?;
        let closed = self
            .amend(id, caller, |session, now| match session.phase(now) {
                EmergencyPhase::Requested
                | EmergencyPhase::Validated
                | EmergencyPhase::Active
                | EmergencyPhase::Capturing
                | EmergencyPhase::Breached => Ok(Some(Event::CloseAsked { by: caller.user.clone() })),
                _ => Ok(None),
            })
            .await?;
        self.woken.notify_one();
        Ok(shows::closed(&closed, self.terms.settle, self.now()))
    }

    async fn review(&self, caller: &Caller, id: &str, note: &str) -> Result<Answer, String> {
        self.terms.admits(caller)?;
        let note: String = redact::shown(note.trim()).chars().take(4000).collect();
        if note.chars().count() < self.terms.reason_length {
            return Err(format!(
                "a review of less than {} characters says too little: say what was done, whether it was right, and what follows",
                self.terms.reason_length
            ));
        }
        let reviewed = self
            .amend(id, caller, |session, now| {
                may_review(session, caller, now)?;
                Ok(Some(Event::Reviewed { by: caller.user.clone(), note: note.clone() }))
            })
            .await?;
        self.woken.notify_one();
        Ok(shows::one(&reviewed, self.now()))
    }
}

fn late(session: &Session) -> String {
    let by = session.status.deadlines.expires_at.as_ref().map(|at| at.0.to_string()).unwrap_or_default();
    format!("it was to be confirmed by {by} and has lapsed: open another one")
}

/// # Errors
/// One sentence: who reviews was part of it, it is not reconciled, or GitOps is still paused.
fn may_review(session: &Session, caller: &Caller, now: Timestamp) -> Result<(), String> {
    let phase = session.phase(now);
    if phase.is_final() {
        return Err(format!("it is {} already", phase.as_str()));
    }
    if session.status.closed_at.is_none() {
        return Err(format!("it is {} and not closed: close it with close_emergency first", phase.as_str()));
    }
    if session.took_part(&caller.user) {
        return Err(
            "you took part in it: a person who neither asked for it nor wrote in it reviews it".to_owned()
        );
    }
    let open = session
        .status
        .captured
        .iter()
        .find(|captured| matches!(outcome(captured), None | Some(Outcome::Proposed | Outcome::Failed)));
    if let Some(captured) = open {
        let object = shown(&captured.object);
        return Err(match captured.reconciliation.as_ref().and_then(|made| made.change_request.as_ref()) {
            Some(change) => format!("{object} is not in Git yet: merge or close change {change} first"),
            None => format!("{object} is neither proposed to Git nor undone yet: get_emergency says why"),
        });
    }
    if let Some(stand) = session.status.gitops.iter().find(|stand| stand.paused) {
        return Err(format!("{} is still paused: {}", stand.by, stand.advice));
    }
    Ok(())
}

/// Such as `inc-7-1a2b3c`.
fn name(spec: &EmergencyChangeSpec, now: Timestamp) -> String {
    let slug: String = spec
        .incident
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let slug = slug.trim_matches('-');
    let scope = serde_json::to_string(&spec.scope).unwrap_or_default();
    let digest = short(&[&spec.incident, &spec.requested_by, &scope, &now.as_nanosecond().to_string()]);
    format!("{}-{}", if slug.is_empty() { "emergency" } else { slug }, &digest[..8])
}
