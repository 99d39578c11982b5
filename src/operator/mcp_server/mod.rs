//! Reconciles one MCPServer: dereference, validate, build, apply, status. Only the first and the last two hold a
//! client.

mod apply;
mod build;
mod child;
mod decide;
mod dereference;
mod memory;
mod status;
mod triggers;
mod unparsable;
mod validate;

#[cfg(test)]
mod fixture;

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Client, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        applier,
        controller::{Action, Config, Error as ControllerError},
        reflector::{self, ObjectRef},
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::writer::{WriteError, Writer};
use crate::{
    api::MCPServer,
    fleet::{Observations, ServerName},
};
use apply::{Applied, Applier, ApplyError};
use dereference::Dereferenced;
use memory::Memory;
use status::Situation;
use validate::{Runs, ValidatedServer};

/// Someone wrote meanwhile: our own view is up to date in a moment.
const RETRY_OUTDATED: Duration = Duration::from_millis(500);
/// The API server does not answer.
const RETRY_FAILED: Duration = Duration::from_secs(5);
/// The API server refuses a child, such as for a quota that may be raised.
const RETRY_REFUSED: Duration = Duration::from_secs(30);
/// Garbage collection has to come by.
const RETRY_WAITING: Duration = Duration::from_secs(1);
/// Events that come together are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// What every reconcile of a term as leader shares.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) writer: Writer,
    pub(super) observations: watch::Receiver<Observations>,
    /// See [`super::OperatorSettings::own_image`].
    pub(super) own_image: Option<String>,
    memory: Memory,
}

impl Context {
    pub(super) fn new(
        client: Client,
        writer: Writer,
        observations: watch::Receiver<Observations>,
        own_image: Option<String>,
    ) -> Self {
        Self { client, writer, observations, own_image, memory: Memory::default() }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("its objects cannot be read: {0}")]
    Dereference(#[from] kube::Error),
    #[error("its children cannot be written as JSON: {0}")]
    Build(#[from] serde_json::Error),
    #[error("its children cannot be applied: {0}")]
    Apply(ApplyError),
    #[error("its status cannot be written: {0}")]
    Status(WriteError),
    #[error("its event cannot be written: {0}")]
    Event(WriteError),
}

/// Reconciles the MCPServers of one namespace, or of all, until `cancel`; what is under way is finished.
pub(super) async fn run(
    context: Arc<Context>,
    namespace: Option<&str>,
    concurrency: u16,
    cancel: CancellationToken,
) {
    let (store, writer) = reflector::store();
    let triggers = triggers::all(&context.client, namespace, writer, context.observations.clone());
    let config = Config::default().concurrency(concurrency.max(1)).debounce(DEBOUNCE);
    let outcomes = applier(
        |guard, context| Box::pin(reconcile(guard, context)),
        |guard, error, _| again(&guard, error),
        context.clone(),
        store,
        triggers.take_until(cancel.cancelled_owned()),
        config,
    );
    let mut outcomes = pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        note(&context, outcome);
    }
}

type Outcome = Result<
    (ObjectRef<DeserializeGuard<MCPServer>>, Action),
    ControllerError<Error, kube::runtime::watcher::Error>,
>;

fn note(context: &Context, outcome: Outcome) {
    match outcome {
        Ok((server, _)) => tracing::debug!(%server, "reconciled"),
        Err(ControllerError::ObjectNotFound(gone)) => {
            let namespace = gone.namespace.clone().unwrap_or_default();
            context.memory.forget(&ServerName { namespace, name: gone.name.clone() });
        }
        // Logged with its server where it happened.
        Err(ControllerError::ReconcilerFailed(..)) => {}
        Err(ControllerError::QueueError(error)) => {
            tracing::warn!(%error, "a watch of the operator broke, it starts again");
        }
        Err(error) => tracing::warn!(%error, "the operator's queue failed"),
    }
}

async fn reconcile(guard: Arc<DeserializeGuard<MCPServer>>, context: Arc<Context>) -> Result<Action, Error> {
    let server = match &guard.0 {
        Ok(server) => server,
        Err(invalid) => return unparsable::report(&context.writer, invalid).await.map_err(Error::Event),
    };
    let Some(name) = name(server) else { return Ok(Action::await_change()) };
    if server.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    // dereference (client required)
    let observations = context.observations.borrow().clone();
    let live = dereference::dereference(&context.client, &name, &observations).await?;
    // validate (no client required)
    let bridge_image = live.bridge_image().or(context.own_image.as_deref());
    let validated = match validate::validate(server, bridge_image) {
        Ok(validated) => validated,
        Err(why) => {
            write_status(&context, server, &Situation::Invalid(&why), &live).await?;
            return Ok(Action::await_change());
        }
    };
    // build (no client required), apply (writer required), status (writer required)
    let ValidatedServer { owner, runs } = &validated;
    let applier = Applier { writer: &context.writer, memory: &context.memory, owner };
    match runs {
        Runs::Remote(url) => {
            applier.remove(&live).await.map_err(Error::Apply)?;
            write_status(&context, server, &Situation::Remote(url), &live).await?;
            Ok(Action::await_change())
        }
        Runs::Workload(workload) => {
            let children = build::build(owner, workload)?;
            let applied = applier.apply(&live, &children, workload.replicas).await;
            let in_place = |deployment| Situation::Workload { owner, workload, deployment, pods: &live.pods };
            let (situation, action) = match &applied {
                Ok(Applied::InPlace(deployment)) => (in_place(Some(deployment)), Action::await_change()),
                Ok(Applied::Waits) => (in_place(None), Action::requeue(RETRY_WAITING)),
                Ok(Applied::NamesTaken(names)) => {
                    (Situation::NamesTaken(names.clone()), Action::requeue(RETRY_REFUSED))
                }
                Err(error) => match refusal(error) {
                    Some(said) => (Situation::Refused(said), Action::requeue(RETRY_REFUSED)),
                    None => return Err(Error::Apply(applied.err().unwrap_or(WriteError::NotLeading.into()))),
                },
            };
            write_status(&context, server, &situation, &live).await?;
            Ok(action)
        }
    }
}

/// What the API server said when it refused, as against not having answered.
fn refusal(error: &ApplyError) -> Option<String> {
    match error {
        ApplyError::Write(WriteError::Refused { what, source }) => match source.as_ref() {
            // Not let in, too slow, too many: that says nothing about the object.
            kube::Error::Api(status) if matches!(status.code, 401 | 408 | 429) => None,
            kube::Error::Api(status) if (400..500).contains(&status.code) => {
                Some(format!("The API server refuses: {what}: {}", status.message))
            }
            _ => None,
        },
        ApplyError::Write(WriteError::NotLeading | WriteError::Outdated(_)) | ApplyError::Json(_) => None,
    }
}

async fn write_status(
    context: &Context,
    server: &MCPServer,
    situation: &Situation<'_>,
    live: &Dereferenced,
) -> Result<(), Error> {
    let uid = server.metadata.uid.as_deref();
    let earlier = live.deployment.as_ref().filter(|deployment| {
        deployment.owner_references().iter().any(|owner| Some(owner.uid.as_str()) == uid)
    });
    let status = status::assess(server, situation, earlier, live.observation.as_ref(), Timestamp::now());
    if server.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let mut update = server.clone();
    update.status = Some(status);
    context.writer.status(&update).await.map_err(Error::Status)
}

fn again(guard: &DeserializeGuard<MCPServer>, error: &Error) -> Action {
    let server = ObjectRef::from_obj(guard);
    match error {
        Error::Apply(ApplyError::Write(WriteError::Outdated(what)))
        | Error::Status(WriteError::Outdated(what)) => {
            tracing::debug!(%server, what, "read again");
            Action::requeue(RETRY_OUTDATED)
        }
        Error::Apply(ApplyError::Write(WriteError::NotLeading))
        | Error::Status(WriteError::NotLeading)
        | Error::Event(WriteError::NotLeading) => Action::await_change(),
        error => {
            tracing::warn!(%server, %error, "an MCPServer could not be reconciled, trying again");
            Action::requeue(RETRY_FAILED)
        }
    }
}

fn name(server: &MCPServer) -> Option<ServerName> {
    Some(ServerName { namespace: server.metadata.namespace.clone()?, name: server.metadata.name.clone()? })
}
