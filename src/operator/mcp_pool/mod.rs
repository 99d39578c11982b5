//! Reconciles one MCPPool: what the fleet makes of it and what the gateway sees of its members becomes its status. It
//! has no children; who belongs to it is decided by `fleet`, in every process alike.

mod happenings;
mod status;
mod triggers;

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Resource,
    core::DeserializeGuard,
    runtime::{
        applier,
        controller::{Action, Config, Error as ControllerError},
        reflector::{self, ObjectRef},
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    field_error::{FieldError, listed},
    metrics::{Failing, Metrics, Step},
    pace::Pace,
    policy::Policy,
    unparsable,
    writer::{WriteError, Writer},
};
use crate::{
    api::MCPPool,
    fleet::{Observations, ServerName, Serving},
};

/// What its metrics are called by.
pub(super) const KIND: &str = "MCPPool";
/// Members come and go together, and each is seen for itself: that is one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(100);

type Guarded = DeserializeGuard<MCPPool>;

/// What every reconcile of a term as leader shares.
pub(super) struct Context {
    writer: Writer,
    observations: watch::Receiver<Observations>,
    serving: Serving,
    policy: Arc<Policy>,
    pace: Pace,
}

impl Context {
    pub(super) fn new(
        writer: Writer,
        observations: watch::Receiver<Observations>,
        serving: Serving,
        policy: Arc<Policy>,
        metrics: &Metrics,
    ) -> Self {
        Self { writer, observations, serving, policy, pace: Pace::new(KIND, metrics.meter(KIND)) }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("its status cannot be written: {0}")]
    Status(WriteError),
    #[error("its event cannot be written: {0}")]
    Event(WriteError),
}

/// Reconciles the MCPPools of one namespace, or of all, until `cancel`; what is under way is finished.
pub(super) async fn run(
    context: Arc<Context>,
    namespace: Option<&str>,
    concurrency: u16,
    cancel: CancellationToken,
) {
    // Before that pods that are there would be taken for gone.
    tokio::select! {
        () = context.serving.listed() => {}
        () = cancel.cancelled() => return,
    }
    let (store, writer) = reflector::store();
    let triggers = triggers::all(&context, namespace, writer);
    let config = Config::default().concurrency(concurrency.max(1)).debounce(DEBOUNCE);
    let outcomes = applier(
        |guard, context| Box::pin(reconcile(guard, context)),
        |guard, error, context| again(&guard, error, &context),
        context.clone(),
        store,
        triggers.take_until(cancel.cancelled_owned()).inspect_ok(|pool| {
            context.pace.meter.queued(named(pool));
        }),
        config,
    );
    let mut outcomes = pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok((pool, _)) => tracing::debug!(%pool, "reconciled"),
            Err(ControllerError::ObjectNotFound(gone)) => {
                let namespace = gone.namespace.clone().unwrap_or_default();
                context.pace.forget(&ServerName { namespace, name: gone.name.clone() });
            }
            // Logged with its pool where it happened.
            Err(ControllerError::ReconcilerFailed(..)) => {}
            // The cluster may not have the kind: then every try says so.
            Err(ControllerError::QueueError(error)) => {
                tracing::debug!(%error, "the watch of MCPPools broke, it starts again");
            }
            Err(error) => tracing::warn!(%error, "the queue of MCPPools failed"),
        }
    }
}

async fn reconcile(guard: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let name = named(&ObjectRef::from_obj(&*guard));
    context.pace.meter.begun(&name);
    context.pace.meter.timed(Step::All, look(&guard, &name, &context)).await?;
    Ok(context.pace.settled(&name))
}

async fn look(guard: &Guarded, name: &ServerName, context: &Context) -> Result<(), Error> {
    let pool = match &guard.0 {
        Ok(pool) => pool,
        Err(invalid) => {
            return unparsable::report::<MCPPool>(&context.writer, invalid).await.map_err(Error::Event);
        }
    };
    // Where the fleet has not seen it yet, its doing so wakes us.
    let Some(stands) = context.serving.pool(name).filter(|_| pool.metadata.deletion_timestamp.is_none())
    else {
        return Ok(());
    };
    let observations = context.observations.borrow().clone();
    let violations = context.policy.violations_of_pool(pool);
    let errors: Vec<FieldError> = violations.iter().map(FieldError::from).collect();
    let violated = (!errors.is_empty()).then(|| listed(&errors));
    let status = status::assess(pool, &stands, violated.as_deref(), &observations, Timestamp::now());
    if let Some(phase) = status.phase {
        context.pace.meter.phase(name, phase.as_str());
    }
    if pool.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let told = happenings::happenings(pool.status.as_ref(), &status);
    let mut update = pool.clone();
    update.status = Some(status);
    let writing = context.writer.status(&update);
    context.pace.meter.timed(Step::Status, writing).await.map_err(Error::Status)?;
    for happening in told {
        // One that cannot be written is lost: the status says the same.
        if let Err(error) = context.writer.tell(&pool.object_ref(&()), &happening).await {
            tracing::warn!(%error, reason = %happening.reason, "an event could not be told");
        }
    }
    Ok(())
}

fn again(guard: &Guarded, error: &Error, context: &Context) -> Action {
    let failing = match error {
        Error::Status(write) | Error::Event(write) => Failing::from(write),
    };
    context.pace.failed(&named(&ObjectRef::from_obj(guard)), failing, error)
}

fn named(pool: &ObjectRef<Guarded>) -> ServerName {
    ServerName { namespace: pool.namespace.clone().unwrap_or_default(), name: pool.name.clone() }
}
