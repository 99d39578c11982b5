//! Keeps the records: one change of a record at a time, each in the audit record first.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use super::{
    captured::{counts, is_of_git, kept, knows, who},
    config::{EmergencyConfig, EmergencyConfigError, Terms},
    parts::{Counting, Eyes, Hands, Reconciling, RecordError, Records},
    scope::{shown, target_of},
    session::Session,
    step::{Action, Event, step, unsanctioned},
};
use crate::{
    api::{EmergencyChange, emergency_change::EmergencyPhase},
    audit::{Audit, Line},
    caller::Caller,
    changes::capture::Write,
};

/// What the moment is. Tests bring their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Whoever wrote first won this often in a row: then something else is wrong.
const MOST_TRIES: usize = 8;
/// Of one write's fields in the audit record.
const LONGEST_FIELDS: usize = 32 << 10;

/// What the emergencies of an installation are made of.
pub struct EmergencyParts {
    pub records: Arc<dyn Records>,
    pub eyes: Arc<dyn Eyes>,
    /// Only where the process can act as its callers.
    pub hands: Option<Arc<dyn Hands>>,
    pub reconciling: Arc<dyn Reconciling>,
    pub counting: Arc<dyn Counting>,
    pub audit: Audit,
    /// Where the records are, where they are in a cluster.
    pub namespace: Option<String>,
    pub clock: Clock,
}

/// The emergencies of this installation. Cheap to clone. Only one process at a time may use the same records: the one
/// that leads.
#[derive(Clone)]
pub struct EmergencyRoom(pub(super) Arc<Room>);

pub(super) struct Room {
    pub(super) terms: Terms,
    pub(super) parts: EmergencyParts,
    /// Held while a record is read and changed.
    turn: Mutex<()>,
    /// Something happened that a round should look at.
    pub(super) woken: Notify,
}

impl EmergencyRoom {
    /// # Errors
    /// When the configuration does not hold together.
    pub fn new(config: EmergencyConfig, parts: EmergencyParts) -> Result<Self, EmergencyConfigError> {
        let terms = Terms::of(config, parts.namespace.as_deref())?;
        Ok(Self(Arc::new(Room { terms, parts, turn: Mutex::default(), woken: Notify::new() })))
    }

    /// Records a write: in the emergency that covers it, or as unsanctioned. Returns once that is kept; the same write
    /// may come again, from another witness or after a restart.
    ///
    /// # Errors
    /// One sentence, when it could not be recorded: it must come again, or it is lost.
    pub async fn captured(&self, write: &Write) -> Result<Covered, String> {
        let recorded = self.0.record(write).await;
        self.0.woken.notify_one();
        recorded
    }

    /// Takes a write back that turned out to be a GitOps controller's or the system's.
    ///
    /// # Errors
    /// One sentence, when that could not be kept.
    pub async fn excused(&self, write: &Write) -> Result<(), String> {
        self.0.excuse(write).await
    }

    /// Does what time and the cluster demand, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let next = self.0.round().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(next) => {}
                () = self.0.woken.notified() => {}
            }
        }
        // Whoever leads now counts them.
        self.0.parts.counting.phases(&EmergencyPhase::ALL.map(|phase| (phase.as_str(), 0)));
    }
}

/// Whether a write had an emergency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    Sanctioned,
    Unsanctioned,
    /// It changed nothing that Git knows of.
    Nothing,
}

/// Who is named in the audit record for what nobody asked for.
pub(super) fn ourselves() -> Caller {
    Caller { user: "pilothouse".to_owned(), ..Caller::process() }
}

impl Room {
    pub(super) fn now(&self) -> Timestamp {
        (self.parts.clock)()
    }

    pub(super) async fn sessions(&self) -> Result<Vec<Session>, String> {
        let mut sessions: Vec<Session> =
            self.parts.records.list().await?.into_iter().map(Session::from).collect();
        sessions.sort_by(|a, b| {
            a.status
                .active_from
                .as_ref()
                .map(|at| at.0)
                .cmp(&b.status.active_from.as_ref().map(|at| at.0))
                .then_with(|| a.name().cmp(b.name()))
        });
        Ok(sessions)
    }

    /// # Errors
    /// One sentence, the same for one that is not there.
    pub(super) async fn session(&self, name: &str) -> Result<Session, String> {
        let sessions = self.sessions().await?;
        sessions.into_iter().find(|session| session.name() == name).ok_or_else(|| {
            format!(
                "there is no emergency {:?}: get_emergency without an id lists those that are not over",
                crate::redact::shown(name)
            )
        })
    }

    /// Lets an event happen to a record, and keeps and tells what comes of it. `decide` sees the record as it is at
    /// that moment and says what happens, if anything.
    ///
    /// # Errors
    /// One sentence: what `decide` refused, or why it could not be kept.
    pub(super) async fn amend(
        &self,
        name: &str,
        caller: &Caller,
        decide: impl Fn(&Session, Timestamp) -> Result<Option<Event>, String>,
    ) -> Result<Session, String> {
        let _turn = self.turn.lock().await;
        self.amend_in_turn(name, caller, decide).await
    }

    async fn amend_in_turn(
        &self,
        name: &str,
        caller: &Caller,
        decide: impl Fn(&Session, Timestamp) -> Result<Option<Event>, String>,
    ) -> Result<Session, String> {
        for _ in 0..MOST_TRIES {
            let (session, now) = (self.session(name).await?, self.now());
            let Some(event) = decide(&session, now)? else { return Ok(session) };
            let line = line(&session, &event, caller);
            let (changed, actions) = step(session.clone(), now, event, &self.terms);
            if changed.status == session.status {
                return Ok(session);
            }
            if let Some(line) = line {
                self.parts.audit.durable(line).await.map_err(|error| error.to_string())?;
            }
            match self.parts.records.update(changed.into()).await {
                Ok(kept) => {
                    self.act(&kept, actions).await;
                    return Ok(kept.into());
                }
                Err(RecordError::Outdated) => {}
                Err(RecordError::Failed(why)) => return Err(why),
            }
        }
        Err(format!("the record of {name} was changed by somebody else each time: ask again"))
    }

    /// Makes a record.
    ///
    /// # Errors
    /// As [`RecordError`].
    pub(super) async fn create(
        &self,
        (session, actions): (Session, Vec<Action>),
        line: Line,
    ) -> Result<Session, RecordError> {
        self.parts.audit.durable(line).await.map_err(|error| RecordError::Failed(error.to_string()))?;
        let kept = self.parts.records.create(session.into()).await?;
        self.act(&kept, actions).await;
        self.woken.notify_one();
        Ok(kept.into())
    }

    /// # Errors
    /// One sentence, when it could not be kept.
    pub(super) async fn record(&self, write: &Write) -> Result<Covered, String> {
        if !counts(write) {
            return Ok(Covered::Nothing);
        }
        let _turn = self.turn.lock().await;
        for _ in 0..MOST_TRIES {
            let (sessions, now) = (self.sessions().await?, self.now());
            let known = sessions.iter().find(|session| knows(&session.status, write));
            let takes = |is: bool| {
                sessions
                    .iter()
                    .find(move |one| one.spec.unsanctioned == is && one.takes(write, now, &self.terms))
            };
            if let Some(session) = known.or_else(|| takes(false)).or_else(|| takes(true)) {
                let wrote = |_: &Session, _| Ok(Some(Event::Wrote(write.clone())));
                let covered =
                    if session.spec.unsanctioned { Covered::Unsanctioned } else { Covered::Sanctioned };
                return self.amend_in_turn(session.name(), &ourselves(), wrote).await.map(|_| covered);
            }
            let made = unsanctioned(self.parts.namespace.as_deref(), write, now, &self.terms);
            let line = written(made.0.name(), write).with("unsanctioned", "true");
            match self.create(made, line).await {
                Ok(_) => return Ok(Covered::Unsanctioned),
                Err(RecordError::Outdated) => {}
                Err(RecordError::Failed(why)) => return Err(why),
            }
        }
        Err("the records of emergencies were changed by somebody else each time".to_owned())
    }

    async fn excuse(&self, write: &Write) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let sessions = self.sessions().await?;
        let Some(session) = sessions.iter().find(|session| knows(&session.status, write)) else {
            return Ok(());
        };
        let excused = |_: &Session, _| Ok(Some(Event::Excused(write.clone())));
        self.amend_in_turn(session.name(), &ourselves(), excused).await.map(drop)
    }

    pub(super) async fn act(&self, about: &EmergencyChange, actions: Vec<Action>) {
        let name = about.metadata.name.as_deref().unwrap_or_default();
        for action in actions {
            match action {
                Action::Tell { is_warning, reason, note } => {
                    if is_warning {
                        tracing::warn!(emergency = name, reason, note);
                    } else {
                        tracing::info!(emergency = name, reason, note);
                    }
                    self.parts.records.tell(about, is_warning, reason, note).await;
                }
                Action::Escalate(deadline) => self.parts.counting.broken(deadline.as_str()),
            }
        }
    }
}

/// The line of the audit record for an event; nothing for what only looks.
fn line(session: &Session, event: &Event, caller: &Caller) -> Option<Line> {
    let name = session.name();
    let line = |action: &str, decision: &str| Line::now(caller, action, name, decision);
    Some(match event {
        Event::Confirmed { .. } => line("emergency/confirm", "confirmed"),
        Event::Wrote(write) => written(name, write),
        Event::Excused(write) => written(name, write).with("excused", "true"),
        Event::CloseAsked { .. } => line("emergency/close", "asked"),
        Event::Reviewed { .. } => line("emergency/review", "reviewed"),
        Event::Reconciled { outcome, change_request, .. } => {
            let line = line("emergency/reconcile", &format!("{outcome:?}"));
            match change_request {
                Some(change) => line.with("change", change.as_str()),
                None => line,
            }
        }
        Event::Looked { reverted: Some(revert), .. } => line("emergency/undone", "seen")
            .with("by", revert.by.as_str())
            .with("version", revert.version.as_str()),
        Event::Foreseen { .. } if session.status.active_from.is_none() => line("emergency/active", "active"),
        Event::Strange => line("emergency/strange", "refused"),
        // What is asked for has a line of its own.
        Event::Foreseen { .. } | Event::Looked { reverted: None, .. } | Event::Used => return None,
        Event::Time => line("emergency/time", "passed"),
        Event::Escalated(deadline) => line("emergency/escalate", deadline.as_str()),
    })
}

/// One write in full: the record itself holds writes of one object together.
fn written(name: &str, write: &Write) -> Line {
    let Write { at, object, uid, version, verb, users: _, manager, fields, witnesses } = write;
    let fields = fields.iter().filter(|field| is_of_git(&field.path)).map(|field| {
        let value =
            |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "absent".to_owned(), kept);
        format!("{}: {} -> {}", field.path, value(&field.before), value(&field.after))
    });
    let fields: String = fields.collect::<Vec<_>>().join("\n").chars().take(LONGEST_FIELDS).collect();
    Line::now(&ourselves(), "emergency/captured", &shown(&target_of(object)), "captured")
        .with("emergency", name)
        .with("by", who(write))
        .with("manager", manager.clone().unwrap_or_default())
        .with("writtenAt", at.to_string())
        .with("verb", format!("{verb:?}"))
        .with("uid", uid.as_str())
        .with("version", version.as_str())
        .with("witnesses", format!("{witnesses:?}"))
        .with("fields", fields)
}
