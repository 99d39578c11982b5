//! What the tools ask of emergencies, answered.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde_json::Value;

use super::{
    captured::kept,
    config::Execution,
    criteria,
    digest::short,
    gitops,
    parts::RecordError,
    patch::patch,
    room::{EmergencyRoom, Room},
    scope::{kind_and_group, shown},
    session::{Session, outcome},
    shown as shows,
    step::{Event, requested},
};
use crate::{
    answer::Answer,
    api::emergency_change::{
        EmergencyChangeSpec, EmergencyPhase, EmergencyScope, EmergencyTarget, ExpectedChange, GitOpsStand,
        Outcome,
    },
    audit::Line,
    caller::Caller,
    changes::{
        capture::{FieldChange, ObjectRef, Verb, Write},
        path::FieldPath,
    },
    redact,
    tools::{Emergencies, EmergencyAsk, EmergencyOpening},
};

/// The field manager of what `operator/as_caller.rs` writes.
const MANAGER: &str = "pilothouse-emergency";

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
        let spec = criteria::check(opening, caller, &self.terms)?;
        if let Some(open) = self.same(&spec).await? {
            return Ok(shows::opened(&open, None, self.now()));
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
            .with("scope", serde_json::to_string(&spec.scope).unwrap_or_default());
        match self.create(made, line).await {
            Ok(session) => Ok(shows::opened(&session, blind.as_deref(), self.now())),
            Err(RecordError::Outdated) => {
                Err("the same emergency is being opened right now: ask again".to_owned())
            }
            Err(RecordError::Failed(why)) => Err(why),
        }
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
        Ok(shows::one(&active, self.now()))
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

    async fn apply(&self, caller: &Caller, id: &str, number: usize) -> Result<Answer, String> {
        let hands = self.parts.hands.as_ref().filter(|_| self.terms.execution == Execution::AsCaller);
        let hands = hands.ok_or(
            "this installation does not apply emergency changes (emergency.execution is off): make the change with your own tools, it is captured",
        )?;
        self.terms.admits(caller)?;
        let session = self.session(id).await?;
        let change = self.applicable(&session, caller, number)?;
        let target = &change.target;
        let what = shown(target);
        let live = self.parts.eyes.object(Some(caller), target).await?;
        let live = live.ok_or_else(|| format!("{what} is not there, or you may not get it"))?;
        let edits = parsed(change)?;
        let operations = patch(&live, &edits)?;
        if operations.len() < 2 {
            return Ok(Answer::text(format!("Nothing to do: {what} is already so.\n")));
        }
        hands
            .patch(caller, target, &operations, true)
            .await
            .map_err(|why| format!("nothing was changed: {why}"))?;
        let paths: Vec<String> = edits.iter().map(|(path, _)| path.to_string()).collect();
        let line = Line::now(caller, "emergency/apply", &what, "allowed")
            .with("emergency", id)
            .with("number", number.to_string())
            .with("fields", paths.join(", "))
            .with("version", live["metadata"]["resourceVersion"].as_str().unwrap_or_default());
        self.parts.audit.durable(line).await.map_err(|error| error.to_string())?;
        // The rehearsal took time: it must still be covered when it is made.
        self.applicable(&self.session(id).await?, caller, number)?;
        let made = hands
            .patch(caller, target, &operations, false)
            .await
            .map_err(|why| format!("it was rehearsed and then not confirmed: {why}"))?;
        let write = as_write(caller, target, &edits, (&live, &made), self.now());
        if let Some(write) = write
            && let Err(error) = self.record(&write).await
        {
            tracing::warn!(emergency = id, %error, "an applied change is left to the watch to be captured");
        }
        let session = self.session(id).await?;
        Ok(shows::applied(&session, &what, &paths, self.now()))
    }

    /// The expected change with this number, if this caller may have it applied now.
    fn applicable<'a>(
        &self,
        session: &'a Session,
        caller: &Caller,
        number: usize,
    ) -> Result<&'a ExpectedChange, String> {
        let EmergencyChangeSpec { requested_by, second_person, expected, .. } = &session.spec;
        if *requested_by != caller.user && *second_person != caller.user {
            return Err(format!("only {requested_by} and {second_person} apply changes of this emergency"));
        }
        let now = self.now();
        let phase = session.phase(now);
        if phase != EmergencyPhase::Active {
            return Err(format!(
                "the emergency is {}, not Active: nothing is applied; {}",
                phase.as_str(),
                session.status.message.as_deref().unwrap_or_default()
            ));
        }
        let change = number.checked_sub(1).and_then(|at| expected.get(at)).ok_or_else(|| {
            format!(
                "there is no expected change {number}: {} expected when it was opened; others are made by people with their own tools",
                match expected.len() {
                    0 => "none was".to_owned(),
                    count => format!("1 to {count} were"),
                }
            )
        })?;
        // The configuration may have changed since.
        match self.terms.deny.forbids_target(&change.target) {
            Some(what) => {
                Err(format!("{what} is on the deny list (emergency.deny): no emergency may touch it"))
            }
            None => Ok(change),
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

fn parsed(change: &ExpectedChange) -> Result<Vec<(FieldPath, Value)>, String> {
    change
        .edits
        .iter()
        .map(|edit| {
            let path = edit.path.parse::<FieldPath>().map_err(|error| error.to_string())?;
            let value = serde_json::from_str(&edit.value).map_err(|error| error.to_string())?;
            Ok((path, value))
        })
        .collect()
}

/// What we made ourselves is known at once; the watch sees the same version later.
fn as_write(
    caller: &Caller,
    target: &EmergencyTarget,
    edits: &[(FieldPath, Value)],
    (before, made): (&Value, &Value),
    now: Timestamp,
) -> Option<Write> {
    let text = |path: &str| made.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let without_secrets = |of: &Value| {
        let mut of = of.clone();
        redact::value(&mut of);
        of
    };
    let (before, after) = (without_secrets(before), without_secrets(made));
    let (kind, group) = kind_and_group(&target.kind);
    let made_group = text("/apiVersion").and_then(|version| Some(version.split_once('/')?.0.to_owned()));
    let fields = edits.iter().map(|(path, _)| {
        let value = |of: &Value| path.locate(of).ok().and_then(|place| place.get(of).cloned());
        FieldChange { path: path.to_string(), before: value(&before), after: value(&after) }
    });
    // What stayed as it was needs no way back.
    let fields: Vec<FieldChange> =
        fields.filter(|field| field.before.as_ref().map(kept) != field.after.as_ref().map(kept)).collect();
    (!fields.is_empty()).then_some(())?;
    Some(Write {
        at: now,
        object: ObjectRef {
            group: made_group.unwrap_or_else(|| group.unwrap_or_default().to_owned()),
            kind: text("/kind").unwrap_or(kind),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
        },
        uid: text("/metadata/uid")?,
        version: text("/metadata/resourceVersion")?,
        verb: Verb::Update,
        user: Some(caller.user.clone()),
        // As the watch names it.
        manager: Some(MANAGER.to_owned()),
        fields,
        witnesses: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::as_write;
    use crate::{
        api::emergency_change::EmergencyTarget,
        changes::emergency::{captured::tests::at, config::tests::person},
    };

    #[test]
    fn what_we_made_is_a_write_of_the_caller() {
        let object = |replicas: i64, version: &str| {
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "replicas": replicas },
                "metadata": { "uid": "u", "resourceVersion": version } })
        };
        let target =
            EmergencyTarget { kind: "deploy".into(), namespace: Some("shop".into()), name: "web".into() };
        let edits = [("spec.replicas".parse().unwrap(), json!(3))];
        let made = |before, after| {
            as_write(&person("ann", &[]), &target, &edits, (&object(before, "1"), &object(after, "2")), at(5))
        };
        let write = made(2, 3).unwrap();
        assert_eq!((write.user.as_deref(), write.version.as_str()), (Some("ann"), "2"));
        assert_eq!((write.object.group.as_str(), write.object.kind.as_str()), ("apps", "Deployment"));
        assert_eq!(made(3, 3), None);
    }
}
