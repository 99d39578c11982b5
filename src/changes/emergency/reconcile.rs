//! What was written goes back to Git: each object is looked at, and what is left of all of them is proposed at once.

use jiff::Timestamp;

use super::{
    parts::{ChangeStanding, Leaving, Left, Origin, Proposed},
    room::Room,
    scope::shown,
    session::{Session, outcome, seconds},
    step::Event,
    verdict::{Verdict, verdict},
};
use crate::api::emergency_change::{Captured, CapturedVerb, Outcome};

/// Characters of a text that becomes part of a pull request.
const LONGEST: usize = 3_500;

/// What one object asks for.
enum Look {
    Nothing,
    Happened(Event),
    /// It is not in Git yet, or not in the pull request.
    Propose(Left),
}

impl Room {
    pub(super) async fn reconcile(&self, session: Session) -> Session {
        let mut session = session;
        let mut left = Vec::new();
        for captured in session.status.captured.clone() {
            if outcome(&captured) == Some(Outcome::Proposed) {
                session = self.follow_change(session, &captured).await;
                continue;
            }
            match self.look_at(&session, &captured).await {
                Look::Nothing => {}
                Look::Happened(event) => session = self.happens(session, event).await,
                Look::Propose(one) => left.push(one),
            }
        }
        if left.is_empty() { session } else { self.propose(session, left).await }
    }

    async fn look_at(&self, session: &Session, captured: &Captured) -> Look {
        let is_open = match outcome(captured) {
            Some(Outcome::Merged | Outcome::InGit | Outcome::Reverted | Outcome::Proposed) => {
                return Look::Nothing;
            }
            Some(Outcome::Failed) => self.is_due(captured),
            Some(Outcome::Declined | Outcome::NeedsPerson) => false,
            None => true,
        };
        let is_closed = session.status.closed_at.is_some();
        let live = match self.parts.eyes.object(None, &captured.object).await {
            Ok(live) => live,
            Err(error) if is_closed && is_open => return Look::Happened(failed(captured, &error)),
            Err(_) => return Look::Nothing,
        };
        let reverted = match verdict(captured, live.as_ref(), self.now()) {
            Verdict::Reverted(revert) => Some(revert),
            _ if !is_closed || !is_open => None,
            Verdict::NeedsPerson { why } => {
                return Look::Happened(made(captured, Outcome::NeedsPerson, None, why));
            }
            Verdict::Remaining(what) => return Look::Propose(left(captured, what)),
        };
        if reverted.is_none() && captured.reverted.is_none() {
            return Look::Nothing;
        }
        Look::Happened(Event::Looked { uid: captured.uid.clone(), reverted })
    }

    fn is_due(&self, captured: &Captured) -> bool {
        captured.reconciliation.as_ref().is_none_or(|made| {
            self.now().as_second() >= made.at.0.as_second().saturating_add(seconds(self.retry()))
        })
    }

    /// All at once, with those whose pull request is open: it is theirs together.
    async fn propose(&self, session: Session, mut all: Vec<Left>) -> Session {
        let mut session = session;
        for captured in session.status.captured.clone() {
            if outcome(&captured) != Some(Outcome::Proposed) {
                continue;
            }
            let live = match self.parts.eyes.object(None, &captured.object).await {
                Ok(live) => live,
                // Without it the pull request would lose what it holds of it: later.
                Err(error) => {
                    tracing::debug!(emergency = session.name(), %error, "an object cannot be looked at");
                    return session;
                }
            };
            match verdict(&captured, live.as_ref(), self.now()) {
                Verdict::Remaining(what) => all.push(left(&captured, what)),
                Verdict::Reverted(revert) => {
                    let said = format!("undone at {} by {}", revert.at.0, revert.by);
                    let event = made(&captured, Outcome::Reverted, None, said);
                    session = self.happens(session, event).await;
                }
                Verdict::NeedsPerson { why } => {
                    let event = made(&captured, Outcome::NeedsPerson, None, why);
                    session = self.happens(session, event).await;
                }
            }
        }
        let (about, people) = (about(&session), session.participants());
        let name = session.name().to_owned();
        let incident = session.spec.incident.clone();
        let incident = (!incident.is_empty()).then_some(incident.as_str());
        let origin = Origin { emergency: &name, incident, about: &about, people: &people };
        for (uid, proposed) in self.parts.reconciling.propose(origin, all).await {
            let Some(captured) = session.status.captured.iter().find(|one| one.uid == uid).cloned() else {
                continue;
            };
            let event = match proposed {
                Ok(Proposed::Opened { change, at }) => made(&captured, Outcome::Proposed, Some(change), at),
                Ok(Proposed::InGit) => made(&captured, Outcome::InGit, None, String::new()),
                Ok(Proposed::NeedsPerson(why)) => made(&captured, Outcome::NeedsPerson, None, why),
                // What is in an open pull request stays so.
                Err(error) if outcome(&captured) == Some(Outcome::Proposed) => {
                    tracing::debug!(emergency = name, %error, "a pull request is not brought up to date yet");
                    continue;
                }
                Err(error) => failed(&captured, &error),
            };
            session = self.happens(session, event).await;
        }
        session
    }

    async fn follow_change(&self, session: Session, captured: &Captured) -> Session {
        let known = captured.reconciliation.as_ref();
        let Some(change) = known.and_then(|made| made.change_request.clone()) else { return session };
        let (outcome, message) = match self.parts.reconciling.standing(&change, &session.participants()).await
        {
            Ok(ChangeStanding::Open) => return session,
            Ok(ChangeStanding::Merged) => (Outcome::Merged, String::new()),
            Ok(ChangeStanding::Declined(why)) => (Outcome::Declined, why),
            Err(error) => {
                tracing::debug!(change, %error, "what became of the change is not known now");
                return session;
            }
        };
        self.happens(session, made(captured, outcome, Some(change), message)).await
    }
}

fn made(captured: &Captured, outcome: Outcome, change_request: Option<String>, message: String) -> Event {
    let message = clipped(&message, 1000);
    Event::Reconciled { uid: captured.uid.clone(), outcome, change_request, message }
}

fn failed(captured: &Captured, error: &str) -> Event {
    made(captured, Outcome::Failed, None, error.to_owned())
}

fn clipped(text: &str, characters: usize) -> String {
    crate::redact::shown(text).chars().take(characters).collect()
}

fn left(captured: &Captured, what: Leaving) -> Left {
    let Captured { object, uid, verb, first_at, by, .. } = captured;
    let at: Timestamp = first_at.0;
    let did = match verb {
        CapturedVerb::Created => "made",
        CapturedVerb::Updated => "changed",
        CapturedVerb::Deleted => "deleted",
    };
    let reason = format!("{} {did} {} in the cluster at {at}.", by.join(", "), shown(object));
    Left { uid: uid.clone(), object: object.clone(), reason: clipped(&reason, LONGEST), what }
}

/// The text of the pull request: in which emergency, and why.
fn about(session: &Session) -> String {
    let Session { meta: _, spec, status: _ } = session;
    let name = session.name();
    let why = if spec.unsanctioned {
        format!("{} wrote this without an emergency (record {name}).", spec.requested_by)
    } else {
        format!(
            "Emergency {name} of incident {} (severity {}), asked for by {} and confirmed by {}: {}",
            spec.incident, spec.severity, spec.requested_by, spec.second_person, spec.reason
        )
    };
    clipped(&why, LONGEST)
}
