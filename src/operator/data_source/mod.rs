//! Reconciles one DataSource: dereference, validate, check, status. Decisions are plain functions; what holds a
//! client is `secrets`, the checks and this file.
//!
//! `README.md` beside this file says what is checked how, and how MCPServers are told of their sources.

mod check;
mod connected;
mod credentials;
mod fill;
mod gather;
mod outcome;
mod phase;
mod render;
mod secrets;
mod select;
mod status;
mod target;
mod triggers;

use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        applier,
        controller::{Action, Config, Error as ControllerError},
        reflector::{self, ObjectRef},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    events::Happening,
    writer::{WriteError, Writer},
};
use crate::api::{DataSource, DataSourceStatus, data_source::DataSourcePhase};
pub(super) use check::{Dial, Loopback};
pub(super) use connected::{ConnectError, ConnectedSources, FILL_CONTAINER, connect, object_name};
pub(super) use gather::{Gathered, gather};
pub(super) use select::namespaces;

use credentials::Credentials;
use outcome::{Outcome, Reason};
use phase::Course;
use secrets::Keys;
use status::{Checked, Look, Synced};
use target::Target;

/// Sources that are checked at the same time. Each check is a connection and a timeout of its own.
const CONCURRENCY: u16 = 16;
/// Someone wrote meanwhile: our own view is up to date in a moment.
const RETRY_OUTDATED: Duration = Duration::from_millis(500);
/// The API server does not answer.
const RETRY_FAILED: Duration = Duration::from_secs(5);

/// What every check of a term as leader shares.
pub(super) struct Context {
    client: Client,
    writer: Writer,
    dial: Dial,
    courses: Mutex<HashMap<String, Course>>,
    cancel: CancellationToken,
}

impl Context {
    pub(super) fn new(client: Client, writer: Writer, dial: Dial, cancel: CancellationToken) -> Self {
        Self { client, writer, dial, courses: Mutex::default(), cancel }
    }

    /// What is remembered of the source, or else what its status tells.
    fn course(&self, source: &DataSource) -> Course {
        let courses = self.courses.lock().unwrap_or_else(PoisonError::into_inner);
        let known = source.uid().and_then(|uid| courses.get(&uid).copied());
        known.unwrap_or_else(|| Course::resumed(source.status.as_ref().and_then(|status| status.phase)))
    }

    fn remember(&self, source: &DataSource, course: Course) {
        if let Some(uid) = source.uid() {
            self.courses.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, course);
        }
    }
}

/// Checks a source once, outside of a cluster, and tells what the operator would write into its status. None:
/// the credentials cannot be read. This machine's own addresses may be checked.
///
/// # Errors
/// When names cannot be resolved at all.
pub async fn check_source(
    source: &DataSource,
    credentials: Option<BTreeMap<String, String>>,
) -> Result<DataSourceStatus, String> {
    let namespace = source.metadata.namespace.as_deref().unwrap_or_default();
    let dial = Dial::new(Loopback::Allowed)?;
    let not_readable = credentials.is_none();
    let known: Credentials = credentials.into_iter().flatten().collect();
    let (outcome, why);
    let checked = match Target::parse(&source.spec, namespace) {
        Ok(target) => {
            outcome = check::check(&dial, &target, &known).await;
            let before = source.status.as_ref().and_then(|status| status.phase);
            Checked::Yes { course: Course::resumed(before).after(&outcome), outcome: &outcome }
        }
        Err(invalid) => {
            why = invalid;
            Checked::Invalid(&why)
        }
    };
    Ok(status::assess(source, &Look { checked, not_readable, synced: None }, Timestamp::now()))
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("its Secrets cannot be read: {0}")]
    Dereference(#[from] kube::Error),
    #[error("its status cannot be written: {0}")]
    Status(WriteError),
    #[error("its event cannot be written: {0}")]
    Event(WriteError),
}

type Guarded = DeserializeGuard<DataSource>;

/// Checks the DataSources of one namespace, or of all, until the term ends; a check under way is given up.
pub(super) async fn run(context: Arc<Context>, namespace: Option<&str>) {
    let (store, writer) = reflector::store();
    let triggers = triggers::all(&context.client, namespace, writer);
    let config = Config::default().concurrency(CONCURRENCY);
    let ended = context.cancel.clone().cancelled_owned();
    let outcomes = applier(
        |guard, context| Box::pin(reconcile(guard, context)),
        |guard, error, _| again(&guard, error),
        context.clone(),
        store,
        triggers.take_until(ended),
        config,
    );
    let mut outcomes = pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok((source, _)) => tracing::debug!(%source, "looked at"),
            // Deleted meanwhile, or logged where it happened.
            Err(ControllerError::ObjectNotFound(_) | ControllerError::ReconcilerFailed(..)) => {}
            Err(ControllerError::QueueError(error)) => {
                tracing::warn!(%error, "the watch of DataSources broke, it starts again");
            }
            Err(error) => tracing::warn!(%error, "the queue of DataSources failed"),
        }
    }
}

async fn reconcile(guard: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let source = match &guard.0 {
        Ok(source) => source,
        Err(invalid) => {
            let about = DeserializeGuard::<DataSource>(Err(invalid.clone())).object_ref(&());
            let note = format!(
                "The DataSource cannot be read and is not checked: {}; correct its spec and apply it again",
                invalid.error
            );
            let happening = Happening::warning("SpecNotParsed", note);
            context.writer.tell(&about, &happening).await.map_err(Error::Event)?;
            return Ok(Action::await_change());
        }
    };
    if source.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if let Some(wait) = not_yet(source, context.course(source), Timestamp::now()) {
        return Ok(Action::requeue(wait));
    }
    let work = look(&context, source);
    tokio::select! {
        biased;
        done = work => done,
        // Whoever leads next checks again.
        () = context.cancel.cancelled() => Ok(Action::await_change()),
    }
}

async fn look(context: &Context, source: &DataSource) -> Result<Action, Error> {
    let namespace = source.metadata.namespace.as_deref().unwrap_or_default();
    // validate (no client required)
    let target = match Target::parse(&source.spec, namespace) {
        Ok(target) => target,
        Err(why) => {
            let look = Look { checked: Checked::Invalid(&why), not_readable: false, synced: None };
            write(context, source, &look).await?;
            return Ok(Action::await_change());
        }
    };
    // dereference (client required)
    let keys = if source.spec.credentials.is_empty() {
        Keys::Readable(Credentials::default())
    } else {
        secrets::read(&context.client, source).await?
    };
    // check (network required)
    let (outcome, not_readable) = match &keys {
        Keys::Readable(credentials) => (check::check(&context.dial, &target, credentials).await, false),
        Keys::NotReadable => (check::check(&context.dial, &target, &Credentials::default()).await, true),
        Keys::Missing(why) => (Outcome::refused(Reason::CredentialsMissing, why.as_str()), false),
    };
    // decide (pure), status (writer required)
    let course = context.course(source).after(&outcome);
    let synced = synced(source, &keys);
    let look = Look { checked: Checked::Yes { course, outcome: &outcome }, not_readable, synced };
    write(context, source, &look).await?;
    context.remember(source, course);
    let seed = (source.uid(), course.failures, Timestamp::now().as_second());
    Ok(Action::requeue(course.next(source.spec.health_check.interval.duration(), &seed)))
}

/// Until the next check is due: a new leader, and our own writing of the status, check nothing anew.
fn not_yet(source: &DataSource, course: Course, now: Timestamp) -> Option<Duration> {
    let status = source.status.as_ref()?;
    if status.observed_generation != source.metadata.generation {
        return None;
    }
    let last = status.last_checked.as_ref()?.0;
    let since = Duration::from_secs(u64::try_from(now.as_second().checked_sub(last.as_second())?).ok()?);
    // A tenth less is what the spreading may take away.
    let wait = course.next(source.spec.health_check.interval.duration(), &0).mul_f64(0.9);
    wait.checked_sub(since).filter(|left| !left.is_zero())
}

/// What is known of external values without the ExternalSecret itself.
fn synced(source: &DataSource, keys: &Keys) -> Option<Synced> {
    if source.spec.credentials.iter().all(|credential| credential.external.is_none()) {
        return None;
    }
    let name = secrets::brought(source.metadata.name.as_deref().unwrap_or_default());
    Some(match keys {
        Keys::Readable(_) => Synced {
            yes: true,
            reason: "Synced",
            message: format!("Every external value is in the Secret {name}."),
        },
        Keys::Missing(why) => Synced { yes: false, reason: "NotSynced", message: why.clone() },
        Keys::NotReadable => Synced {
            yes: false,
            reason: "NotSeen",
            message: format!("Whether the Secret {name} has its values cannot be seen."),
        },
    })
}

async fn write(context: &Context, source: &DataSource, look: &Look<'_>) -> Result<(), Error> {
    let status = status::assess(source, look, Timestamp::now());
    if source.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let before = source.status.as_ref().and_then(|before| before.phase);
    if before != status.phase {
        let (phase, message) = (status.phase.map(DataSourcePhase::as_str), status.message.as_deref());
        tracing::info!(source = %ObjectRef::from_obj(source), phase, message, "a DataSource changed its phase");
    }
    let mut update = source.clone();
    update.status = Some(status);
    context.writer.status(&update).await.map_err(Error::Status)
}

fn again(guard: &Guarded, error: &Error) -> Action {
    let source = ObjectRef::from_obj(guard);
    match error {
        Error::Status(WriteError::Outdated(what)) => {
            tracing::debug!(%source, what, "read again");
            Action::requeue(RETRY_OUTDATED)
        }
        Error::Status(WriteError::NotLeading) | Error::Event(WriteError::NotLeading) => {
            Action::await_change()
        }
        error => {
            tracing::warn!(%source, %error, "a DataSource could not be looked at, trying again");
            Action::requeue(RETRY_FAILED)
        }
    }
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::jiff::Timestamp;

    use super::{Course, not_yet};
    use crate::api::{DataSource, DataSourceStatus};

    fn checked(generation: i64, at: i64) -> DataSource {
        let spec = "{type: database, endpoint: 'redis://cache', healthCheck: {interval: 100s}}";
        let mut source = DataSource::new("cache", serde_saphyr::from_str(spec).unwrap());
        source.metadata.generation = Some(2);
        source.status = Some(DataSourceStatus {
            observed_generation: Some(generation),
            last_checked: Some(Timestamp::from_second(at).unwrap().into()),
            ..DataSourceStatus::default()
        });
        source
    }

    #[test]
    fn a_source_is_checked_when_it_is_due_or_changed() {
        let now = Timestamp::from_second(1000).unwrap();
        let left = |source: &DataSource| not_yet(source, Course::default(), now);
        let wait = left(&checked(2, 990)).unwrap().as_secs();
        assert!((70..=80).contains(&wait), "{wait}");
        assert_eq!(left(&checked(2, 890)), None);
        assert_eq!(left(&checked(1, 990)), None, "the spec is another");
        let mut fresh = checked(2, 990);
        fresh.status = None;
        assert_eq!(left(&fresh), None);
        // A clock that was wrong does not stop the checks.
        assert_eq!(left(&checked(2, 5000)), None);
    }
}
