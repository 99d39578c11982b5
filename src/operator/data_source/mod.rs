//! Reconciles one DataSource: its ExternalSecret, validate, dereference, check, status. Decisions are plain functions;
//! what holds a client is `external`, `secrets`, the checks and this file.
//!
//! `README.md` beside this file says what is checked how, and how MCPServers are told of their sources.

mod check;
mod connected;
mod credentials;
mod external;
mod fill;
mod gather;
mod memory;
mod outcome;
mod phase;
mod render;
mod secrets;
mod select;
mod status;
mod target;
mod triggers;

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Client, Resource,
    core::DeserializeGuard,
    runtime::{
        applier,
        controller::{Action, Config, Error as ControllerError},
        reflector::{self, ObjectRef},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    deeds,
    field_error::{FieldError, listed},
    kind::Kind,
    metrics::{Ending, Failing, Meter, Metrics, Step},
    policy::Policy,
    served::{LOOK_AGAIN, Served},
    unparsable,
    writer::{WriteError, Writer},
};
use crate::{
    api::{
        DataSource, DataSourceStatus,
        data_source::{DataSourceCondition, DataSourcePhase},
    },
    fleet::ServerName,
};
pub(super) use check::{Dial, Loopback};
pub(super) use connected::{ConnectError, ConnectedSources, FILL_CONTAINER, connect, object_name};
pub(super) use gather::{Gathered, gather};
pub(super) use select::namespaces;

use credentials::Credentials;
use memory::Memory;
use outcome::{Outcome, Reason};
use phase::Course;
use secrets::{Keys, Read};
use status::{Checked, Look, Synced};
use target::Target;

/// What its metrics are called by.
pub(super) const KIND: &str = "DataSource";

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
    served: Served,
    memory: Memory,
    meter: Meter,
    policy: Arc<Policy>,
    cancel: CancellationToken,
}

impl Context {
    pub(super) fn new(
        client: Client,
        writer: Writer,
        dial: Dial,
        metrics: &Metrics,
        policy: Arc<Policy>,
        cancel: CancellationToken,
    ) -> Self {
        let served = Served::new(client.clone());
        Self {
            client,
            writer,
            dial,
            served,
            memory: Memory::default(),
            meter: metrics.meter(KIND),
            policy,
            cancel,
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
    #[error("what it refers to cannot be read: {0}")]
    Dereference(#[from] kube::Error),
    #[error("its ExternalSecret cannot be written: {0}")]
    External(WriteError),
    #[error("its status cannot be written: {0}")]
    Status(WriteError),
    #[error("its event cannot be written: {0}")]
    Event(WriteError),
}

type Guarded = DeserializeGuard<DataSource>;

/// Checks the DataSources of one namespace, or of all, until the term ends; a check under way is given up.
pub(super) async fn run(context: Arc<Context>, namespace: Option<&str>) {
    let (store, writer) = reflector::store();
    // Otherwise it is found when a source wants it.
    if let Err(error) = context.served.find(Kind::ExternalSecret).await {
        tracing::warn!(%error, "not known whether the cluster has ExternalSecrets, it is asked again");
    }
    let triggers = triggers::all(&context, namespace, writer);
    let config = Config::default().concurrency(CONCURRENCY);
    let ended = context.cancel.clone().cancelled_owned();
    let outcomes = applier(
        |guard, context| Box::pin(reconcile(guard, context)),
        |guard, error, context| again(&guard, error, &context),
        context.clone(),
        store,
        triggers.take_until(ended).inspect_ok(|source| context.meter.queued(name_of(source))),
        config,
    );
    let mut outcomes = pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok((source, _)) => tracing::debug!(%source, "looked at"),
            Err(ControllerError::ObjectNotFound(gone)) => {
                let namespace = gone.namespace.unwrap_or_default();
                let name = ServerName { namespace, name: gone.name };
                context.memory.forget(&name);
                context.meter.forget(&name);
            }
            // Logged where it happened.
            Err(ControllerError::ReconcilerFailed(..)) => {}
            Err(ControllerError::QueueError(error)) => {
                tracing::warn!(%error, "the watch of DataSources broke, it starts again");
            }
            Err(error) => tracing::warn!(%error, "the queue of DataSources failed"),
        }
    }
}

async fn reconcile(guard: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let name = name_of(&ObjectRef::from_obj(&*guard));
    context.meter.begun(&name);
    let source = match &guard.0 {
        Ok(source) => source,
        Err(invalid) => {
            unparsable::report::<DataSource>(&context.writer, invalid).await.map_err(Error::Event)?;
            context.meter.ended(Ending::Settled);
            return Ok(Action::await_change());
        }
    };
    if source.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let work = context.meter.timed(Step::All, look(&context, source));
    let (action, ending) = tokio::select! {
        biased;
        done = work => done?,
        // Whoever leads next checks again.
        () = context.cancel.cancelled() => return Ok(Action::await_change()),
    };
    context.meter.ended(ending);
    Ok(action)
}

async fn look(context: &Context, source: &DataSource) -> Result<(Action, Ending), Error> {
    if let Some(phase) = source.status.as_ref().and_then(|status| status.phase) {
        context.meter.phase(&named(source), phase.as_str());
    }
    // Before anything is made of it: a store may be what is not allowed.
    let violations = context.policy.violations_of_source(source);
    if !violations.is_empty() {
        let errors: Vec<FieldError> = violations.iter().map(FieldError::from).collect();
        let look = Look { checked: Checked::Refused(&listed(&errors)), not_readable: false, synced: None };
        write(context, source, &look).await?;
        return Ok((Action::await_change(), Ending::Settled));
    }
    // its ExternalSecret (writer required)
    let kept = context.meter.timed(Step::Apply, external::keep(context, source)).await?;
    let synced = kept.synced();
    // validate (no client required)
    let namespace = select::place(source).0;
    let target = match Target::parse(&source.spec, namespace) {
        Ok(target) => target,
        Err(why) => {
            let look = Look { checked: Checked::Invalid(&why), not_readable: false, synced };
            write(context, source, &look).await?;
            return Ok((Action::await_change(), Ending::Settled));
        }
    };
    // dereference (client required)
    let before = context.memory.course(source);
    let early = not_yet(source, before, Timestamp::now()).filter(|_| tells(source, synced.as_ref()));
    if let (Some(wait), None) = (early, &synced) {
        return Ok((Action::requeue(wait), Ending::Settled));
    }
    let reading = context.meter.timed(Step::Dereference, secrets::read(&context.client, source));
    let Read { keys, versions } = reading.await?;
    let most = if kept.is_to_be_looked_for() { LOOK_AGAIN } else { Duration::MAX };
    if let Some(wait) = early
        && context.memory.is_of(source, &versions)
    {
        return Ok((Action::requeue(wait.min(most)), Ending::Settled));
    }
    // check (network required)
    let not_readable = matches!(keys, Keys::NotReadable);
    let (course, outcome) = match &keys {
        // Its first value is under way: that is no failure.
        Keys::Missing(_) if kept.waits() && before.is_at_the_beginning() => (before.waiting(), None),
        keys => {
            let outcome = checked(context, &target, keys).await;
            (before.after(&outcome), Some(outcome))
        }
    };
    // decide (pure), status (writer required)
    let checked = match &outcome {
        Some(outcome) => Checked::Yes { course, outcome },
        None => Checked::Waiting,
    };
    write(context, source, &Look { checked, not_readable, synced }).await?;
    context.memory.checked(source, course, versions);
    let seed = (&source.metadata.uid, course.failures, Timestamp::now().as_second());
    let wait = course.next(source.spec.health_check.interval.duration(), &seed).min(most);
    let ending = if course.failures == 0 { Ending::Settled } else { Ending::Again };
    Ok((Action::requeue(wait), ending))
}

async fn checked(context: &Context, target: &Target, keys: &Keys) -> Outcome {
    match keys {
        Keys::Readable(credentials) => check::check(&context.dial, target, credentials).await,
        Keys::NotReadable => check::check(&context.dial, target, &Credentials::default()).await,
        Keys::Missing(why) => Outcome::refused(Reason::CredentialsMissing, why.as_str()),
    }
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

/// Whether the status says this of the external values.
fn tells(source: &DataSource, synced: Option<&Synced>) -> bool {
    let mut conditions = source.status.iter().flat_map(|status| &status.conditions);
    let told = conditions.find(|one| one.type_ == DataSourceCondition::SecretsSynced.as_str());
    match (told, synced) {
        (None, None) => true,
        (Some(told), Some(Synced { yes, reason, message: _ })) => {
            (told.status == "True") == *yes && told.reason == *reason
        }
        _ => false,
    }
}

async fn write(context: &Context, source: &DataSource, look: &Look<'_>) -> Result<(), Error> {
    let status = status::assess(source, look, Timestamp::now());
    if let Some(phase) = status.phase {
        context.meter.phase(&named(source), phase.as_str());
    }
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
    context.meter.timed(Step::Status, context.writer.status(&update)).await.map_err(Error::Status)?;
    let done = context.writer.take_deeds(source.metadata.uid.as_deref().unwrap_or_default());
    for happening in deeds::told(&done) {
        if let Err(error) = context.writer.tell(&source.object_ref(&()), &happening).await {
            tracing::warn!(%error, reason = %happening.reason, "an event could not be told");
        }
    }
    Ok(())
}

fn again(guard: &Guarded, error: &Error, context: &Context) -> Action {
    let source = ObjectRef::from_obj(guard);
    let failing = failing(error);
    context.meter.ended(Ending::Failed(failing));
    match failing {
        Failing::Conflict => {
            tracing::debug!(%source, %error, "read again");
            Action::requeue(RETRY_OUTDATED)
        }
        Failing::NotLeading => Action::await_change(),
        Failing::Unanswered | Failing::Internal => {
            tracing::warn!(%source, %error, "a DataSource could not be looked at, trying again");
            Action::requeue(RETRY_FAILED)
        }
    }
}

fn failing(error: &Error) -> Failing {
    match error {
        Error::Dereference(_) => Failing::Unanswered,
        Error::External(error) | Error::Status(error) | Error::Event(error) => error.into(),
    }
}

fn named(source: &DataSource) -> ServerName {
    let (namespace, name) = select::place(source);
    ServerName { namespace: namespace.to_owned(), name: name.to_owned() }
}

fn name_of(source: &ObjectRef<Guarded>) -> ServerName {
    ServerName { namespace: source.namespace.clone().unwrap_or_default(), name: source.name.clone() }
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
