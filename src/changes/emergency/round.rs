//! What time and the cluster demand: deadlines, looking at what was written, at GitOps, and bringing it back to Git.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    gitops,
    parts::{ChangeStanding, Proposed},
    room::{Room, ourselves},
    scope::shown,
    session::{Session, outcome, seconds},
    step::Event,
    verdict::{Verdict, verdict},
};
use crate::{
    api::emergency_change::{Captured, EmergencyPhase, EmergencyScope, GitOpsStand, Outcome},
    tools::{Modification, Proposal},
};

/// How often the cluster is looked at while an emergency is not over.
const LOOK: Duration = Duration::from_secs(10);
/// And otherwise, since records may be made by another process.
const REST: Duration = Duration::from_secs(30);
/// A reconciliation that failed is tried again after this, or sooner where deadlines are short.
const RETRY: Duration = Duration::from_secs(30);
/// Nothing is looked at more often.
const LEAST: Duration = Duration::from_millis(200);

impl Room {
    /// Looks after every record once; returns how long it may be until the next time.
    pub(super) async fn round(&self) -> Duration {
        let sessions = match self.sessions().await {
            Ok(sessions) => sessions,
            Err(error) => {
                tracing::warn!(%error, "the emergencies cannot be read, their deadlines wait");
                return LOOK;
            }
        };
        let (mut next, mut phases) = (REST, BTreeMap::new());
        for session in sessions.into_iter().filter(Session::is_ours) {
            let now = self.now();
            let session =
                if session.phase(now).is_final() { session } else { self.look_after(session).await };
            let now = self.now();
            let phase = session.phase(now);
            *phases.entry(phase).or_insert(0) += 1;
            if !phase.is_final() {
                next = next.min(LOOK.min(self.retry()));
                if let Some(moment) = session.next_moment(now, &self.terms) {
                    next = next.min(Duration::try_from(moment.duration_since(now)).unwrap_or(LEAST));
                }
            }
        }
        let counted: Vec<_> = EmergencyPhase::ALL
            .into_iter()
            .map(|phase| (phase.as_str(), phases.get(&phase).copied().unwrap_or_default()))
            .collect();
        self.parts.counting.phases(&counted);
        next.max(LEAST)
    }

    fn retry(&self) -> Duration {
        RETRY.min(self.terms.reconcile_within / 20).max(LEAST)
    }

    /// Every step that fails is said and tried again in the next round.
    async fn look_after(&self, session: Session) -> Session {
        let mut session = self.happens(session, Event::Time).await;
        session = self.look_at_gitops(session).await;
        for captured in session.status.captured.clone() {
            session = self.look_at(session, &captured).await;
        }
        session
    }

    async fn happens(&self, session: Session, event: Event) -> Session {
        let name = session.name().to_owned();
        match self.amend(&name, &ourselves(), |_, _| Ok(Some(event.clone()))).await {
            Ok(changed) => changed,
            Err(error) => {
                tracing::warn!(emergency = name, %error, "what happened to an emergency is not kept yet");
                session
            }
        }
    }

    async fn look_at_gitops(&self, session: Session) -> Session {
        let begins = session.status.confirmed.is_some() && session.status.active_from.is_none();
        match self.stands(&session).await {
            Ok(stands) if begins || tells_more(&session, &stands) => {
                self.happens(session, Event::Foreseen { stands }).await
            }
            Ok(_) => session,
            Err(error) => {
                tracing::debug!(emergency = session.name(), %error, "GitOps cannot be looked at");
                // What it was when it was opened stays; an emergency does not wait for that.
                let stands = session.status.gitops.clone();
                if begins { self.happens(session, Event::Foreseen { stands }).await } else { session }
            }
        }
    }

    /// How GitOps stands to what the emergency names and to what was written in it.
    async fn stands(&self, session: &Session) -> Result<Vec<GitOpsStand>, String> {
        let appliers = self.parts.eyes.appliers(None).await?;
        let scope = touched(session);
        let mut objects: Vec<Value> = Vec::new();
        for target in &scope.objects {
            objects.extend(self.parts.eyes.object(None, target).await.unwrap_or_default());
        }
        Ok(gitops::stands(&appliers, &objects, &scope))
    }

    async fn look_at(&self, session: Session, captured: &Captured) -> Session {
        let is_open = match outcome(captured) {
            Some(Outcome::Merged | Outcome::InGit | Outcome::Reverted) => return session,
            Some(Outcome::Proposed) => return self.follow_change(session, captured).await,
            Some(Outcome::Failed) => self.is_due(captured),
            Some(Outcome::Declined | Outcome::NeedsPerson) => false,
            None => true,
        };
        let live = match self.parts.eyes.object(None, &captured.object).await {
            Ok(live) => live,
            Err(error) if session.status.closed_at.is_some() && is_open => {
                return self.failed(session, captured, error).await;
            }
            Err(_) => return session,
        };
        let uid = captured.uid.clone();
        let reverted = match verdict(captured, live.as_ref(), self.now()) {
            Verdict::Reverted(revert) => Some(revert),
            _ if session.status.closed_at.is_none() || !is_open => None,
            Verdict::NeedsPerson { why } => {
                let made = Event::Reconciled {
                    uid,
                    outcome: Outcome::NeedsPerson,
                    change_request: None,
                    message: why,
                };
                return self.happens(session, made).await;
            }
            Verdict::Remaining { edits } => return self.propose(session, captured, edits).await,
        };
        if reverted.is_none() && captured.reverted.is_none() {
            return session;
        }
        self.happens(session, Event::Looked { uid, reverted }).await
    }

    fn is_due(&self, captured: &Captured) -> bool {
        captured.reconciliation.as_ref().is_none_or(|made| {
            self.now().as_second() >= made.at.0.as_second().saturating_add(seconds(self.retry()))
        })
    }

    async fn propose(&self, session: Session, captured: &Captured, edits: Vec<(String, Value)>) -> Session {
        let proposal = Proposal {
            kind: captured.object.kind.clone(),
            namespace: captured.object.namespace.clone(),
            name: captured.object.name.clone(),
            change: Modification::Edits(edits),
            reason: reason(&session, captured),
            repository: None,
        };
        let uid = captured.uid.clone();
        let event = match self.parts.reconciling.propose(session.name(), proposal).await {
            Ok(Proposed::Opened { change, note }) => Event::Reconciled {
                uid,
                outcome: Outcome::Proposed,
                change_request: Some(change),
                message: clipped(&note),
            },
            Ok(Proposed::InGit) => Event::Reconciled {
                uid,
                outcome: Outcome::InGit,
                change_request: None,
                message: String::new(),
            },
            Ok(Proposed::NeedsPerson(why)) => Event::Reconciled {
                uid,
                outcome: Outcome::NeedsPerson,
                change_request: None,
                message: clipped(&why),
            },
            Err(error) => return self.failed(session, captured, error).await,
        };
        self.happens(session, event).await
    }

    async fn failed(&self, session: Session, captured: &Captured, error: String) -> Session {
        let (uid, message) = (captured.uid.clone(), clipped(&error));
        let event = Event::Reconciled { uid, outcome: Outcome::Failed, change_request: None, message };
        self.happens(session, event).await
    }

    async fn follow_change(&self, session: Session, captured: &Captured) -> Session {
        let made = captured.reconciliation.as_ref();
        let Some(change) = made.and_then(|made| made.change_request.clone()) else { return session };
        let (outcome, message) = match self.parts.reconciling.standing(&change).await {
            Ok(ChangeStanding::Open) => return session,
            Ok(ChangeStanding::Merged) => (Outcome::Merged, String::new()),
            Ok(ChangeStanding::Declined(why)) => (Outcome::Declined, clipped(&why)),
            Err(error) => {
                tracing::debug!(change, %error, "what became of the change is not known now");
                return session;
            }
        };
        let uid = captured.uid.clone();
        self.happens(session, Event::Reconciled { uid, outcome, change_request: Some(change), message }).await
    }
}

fn clipped(text: &str) -> String {
    crate::redact::shown(text).chars().take(1000).collect()
}

/// The scope, with the objects that were written: those of unsanctioned writes are in no scope.
fn touched(session: &Session) -> EmergencyScope {
    let mut scope = session.spec.scope.clone();
    for captured in &session.status.captured {
        if !scope.objects.contains(&captured.object) {
            scope.objects.push(captured.object.clone());
        }
    }
    scope
}

/// Whether looking again found something that the record does not say.
fn tells_more(session: &Session, stands: &[GitOpsStand]) -> bool {
    let is_gone = |known: &GitOpsStand| known.paused && !stands.iter().any(|stand| stand.by == known.by);
    session.status.gitops.iter().any(is_gone)
        || stands.iter().any(|stand| match session.status.gitops.iter().find(|known| known.by == stand.by) {
            None => true,
            Some(known) => {
                let paused = stand.paused || (known.reverts && !stand.reverts);
                known.paused != paused || (stand.reverts && !known.reverts) || known.advice != stand.advice
            }
        })
}

/// The text of the pull request: who did what, when, and why it is here.
fn reason(session: &Session, captured: &Captured) -> String {
    let Session { meta: _, spec, status: _ } = session;
    let name = session.name();
    let at: Timestamp = captured.first_at.0;
    let by = captured.by.join(", ");
    let object = shown(&captured.object);
    let why = if spec.unsanctioned {
        format!("{by} changed {object} in the cluster at {at} without an emergency (record {name}).")
    } else {
        format!(
            "{by} changed {object} in the cluster at {at} in emergency {name} of incident {} (severity {}), asked for by {} and confirmed by {}: {}",
            spec.incident, spec.severity, spec.requested_by, spec.second_person, spec.reason
        )
    };
    format!(
        "emergency-reconcile: {why}\nThese are the values that the cluster holds now. Merge this to keep them; to undo the change, close this and restore the cluster from Git."
    )
}
