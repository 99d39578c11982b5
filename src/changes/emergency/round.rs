//! What time and the cluster demand: deadlines, looking at GitOps and at what was written.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    gitops,
    room::{Room, ourselves},
    session::{Session, after},
    step::{Event, escalations},
};
use crate::api::emergency_change::{EmergencyPhase, EmergencyScope, GitOpsStand};

/// How often the cluster is looked at while an emergency is not over.
const LOOK: Duration = Duration::from_secs(10);
/// And otherwise, since records may be made by another process.
const REST: Duration = Duration::from_secs(30);
/// A reconciliation that failed is tried again after this, or sooner where deadlines are short.
const RETRY: Duration = Duration::from_secs(30);
/// So long a record may be without a status that is being made.
const GRACE: Duration = Duration::from_secs(15);
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
        for session in sessions.iter().filter(|session| !session.is_ours()) {
            if let Some(wait) = self.refuse(session).await {
                next = next.min(wait);
            }
        }
        for session in sessions.into_iter().filter(Session::is_ours) {
            let now = self.now();
            let session = match session.phase(now).is_final() {
                true => self.escalate(session).await,
                false => self.look_after(session).await,
            };
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

    /// One that was made past open_emergency gets a word on how to open one. A moment later only: of ours, the record
    /// is there before its status. Answers how long that is.
    async fn refuse(&self, session: &Session) -> Option<Duration> {
        if session.status.lapsed.is_some() {
            return None;
        }
        let made = session.meta.creation_timestamp.as_ref().map_or(Timestamp::MIN, |made| made.0);
        let left = Duration::try_from(after(made, GRACE).duration_since(self.now())).unwrap_or_default();
        if !left.is_zero() {
            return Some(left);
        }
        self.happens(session.clone(), Event::Strange).await;
        None
    }

    pub(super) fn retry(&self) -> Duration {
        RETRY.min(self.terms.reconcile_within / 20).max(LEAST)
    }

    /// Every step that fails is said and tried again in the next round.
    async fn look_after(&self, session: Session) -> Session {
        let mut session = self.happens(session, Event::Time).await;
        session = self.escalate(session).await;
        session = self.look_at_gitops(session).await;
        self.reconcile(session).await
    }

    /// Tells of deadlines that are broken, and then notes that: a process that ends in between tells once more.
    async fn escalate(&self, session: Session) -> Session {
        let mut session = session;
        for (deadline, actions) in escalations(&session) {
            self.act(&session.clone().into(), actions).await;
            session = self.happens(session, Event::Escalated(deadline)).await;
        }
        session
    }

    pub(super) async fn happens(&self, session: Session, event: Event) -> Session {
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
