//! Reconciles one MCPServer: dereference, validate, build, apply, status. Only the first and the last two hold a
//! client.

mod apply;
mod build;
mod child;
mod decide;
mod dereference;
mod elsewhere;
mod evidence;
mod memory;
mod objections;
mod obstacles;
mod owned;
mod proxied;
mod references;
mod referred;
mod report;
mod rollout;
mod rotation;
mod sightings;
mod sleep;
mod sources;
mod status;
mod triggers;
mod unseen;
mod validate;

#[cfg(test)]
mod fixture;

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Client, Resource,
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
    OperatorSettings,
    backoff::Cause,
    kind,
    litellm::Registrar,
    metrics::{Failing, Metrics, Step},
    pace::Pace,
    peers::Replicas,
    policy::Policy,
    served, unparsable,
    writer::{WriteError, Writer},
};
use crate::{
    api::{MCPServer, mcp_server::Phase},
    fleet::{Observations, Refusal, ServerName, Serving},
};
use apply::{Applied, Applier, ApplyError, Outcome};
use build::Around;
use dereference::Dereferenced;
use evidence::LastWords;
use kind::Kind;
use memory::Memory;
use proxied::Held;
use referred::Referred;
use rollout::{Gates, Standing};
use rotation::Told;
use served::Served;
use sightings::Sightings;
use sleep::Sleepers;
use status::{Extras, Situation};
use unseen::Unseen;
use validate::{InvalidSpec, Runs, ValidatedServer};

pub(super) use objections::{Examiner, Objections};
pub(super) use validate::usual_limits;

/// What its metrics are called by.
pub(super) const KIND: &str = "MCPServer";
/// Events that come together are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// What every reconcile of a term as leader shares.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) writer: Writer,
    pub(super) observations: watch::Receiver<Observations>,
    /// See [`super::OperatorSettings::own_image`].
    pub(super) own_image: Option<String>,
    /// The namespace pilothouse runs in.
    own_namespace: String,
    policy: Arc<Policy>,
    /// Where DataSources are watched; empty: everywhere.
    namespaces: Vec<String>,
    served: Served,
    sightings: Sightings,
    referred: Referred,
    memory: Memory,
    last_words: LastWords,
    pace: Pace,
    serving: Option<Serving>,
    gates: Gates,
    sleepers: Option<Arc<Sleepers>>,
    unseen: Unseen,
    /// Of the LiteLLM proxy, where one is configured.
    pub(super) registrar: Option<Registrar>,
}

impl Context {
    pub(super) fn new(
        client: Client,
        writer: Writer,
        observations: watch::Receiver<Observations>,
        settings: &OperatorSettings,
        metrics: &Metrics,
    ) -> Self {
        Self {
            own_image: settings.own_image.clone(),
            own_namespace: settings.lease_namespace.clone(),
            policy: settings.policy.clone(),
            namespaces: settings.namespaces.clone(),
            served: Served::new(client.clone()),
            sightings: Sightings::default(),
            referred: Referred::new(client.clone()),
            client,
            writer,
            observations,
            memory: Memory::default(),
            last_words: LastWords::default(),
            pace: Pace::new(KIND, metrics.meter(KIND)),
            serving: None,
            gates: Gates::default(),
            sleepers: None,
            unseen: Unseen::default(),
            registrar: settings.litellm.clone().map(Registrar::new),
        }
    }

    /// See [`super::Operator::serving`].
    pub(super) fn serving(self, serving: Option<Serving>, settings: &OperatorSettings) -> Self {
        let sleepers = |serving| {
            let replicas = Replicas::new(self.client.clone(), settings);
            Arc::new(Sleepers::new(serving, replicas))
        };
        Self { sleepers: serving.clone().map(sleepers), serving, ..self }
    }

    /// Whether the server should have no pods, since nobody uses it.
    async fn sleeps(&self, server: &MCPServer, name: &ServerName, live: &Dereferenced) -> bool {
        let live = live.deployment.as_ref().and_then(|deployment| deployment.spec.as_ref()?.replicas);
        let Some(sleepers) = &self.sleepers else { return false };
        sleepers.sleeps(server, name, live).await
    }

    /// How its pods stand before the gate of a rollout; asks those that wait.
    async fn rollout(&self, server: &MCPServer, name: &ServerName, pods: &[Pod]) -> Result<Standing, Error> {
        if server.spec.rollout.gate.is_none() {
            return Ok(Standing::NotGated);
        }
        let Some(serving) = &self.serving else { return Ok(Standing::Gated { held: None, again: false }) };
        self.gates.open(&self.writer, serving, server, name, pods).await.map_err(Error::Gate)
    }

    /// Why the headers of a remote server have no values.
    fn unread_headers(&self, server: &MCPServer, name: &ServerName) -> Option<String> {
        match self.serving.as_ref()?.refused(name)? {
            Refusal::Headers(why) => has_headers(server).then_some(why),
            Refusal::Manifest(_) => None,
        }
    }

    fn forget(&self, name: &ServerName) {
        self.memory.forget(name);
        self.last_words.forget(name);
        self.unseen.forget(name);
        self.referred.forget(name);
        self.pace.forget(name);
        self.gates.forget(name);
        if let Some(registrar) = &self.registrar {
            registrar.forget(name);
        }
        if let Some(sleepers) = &self.sleepers {
            sleepers.forget(name);
        }
    }
}

/// What is left to do after a reconcile that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Again(Cause),
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
    #[error("a pod of it cannot be let pass: {0}")]
    Gate(WriteError),
    #[error("its finalizer cannot be set: {0}")]
    Finalizer(WriteError),
}

/// Reconciles the MCPServers of one namespace, or of all, until `cancel`; what is under way is finished.
pub(super) async fn run(
    context: Arc<Context>,
    namespace: Option<&str>,
    concurrency: u16,
    cancel: CancellationToken,
) {
    let (store, writer) = reflector::store();
    for kind in Kind::ALL {
        // Otherwise it is found when a server wants it.
        if let Err(error) = context.served.find(kind).await {
            tracing::warn!(%error, %kind, "not known whether the cluster has this kind, it is asked again");
        }
    }
    let triggers = triggers::all(&context, namespace, writer, store.clone());
    let config = Config::default().concurrency(concurrency.max(1)).debounce(DEBOUNCE);
    let outcomes = applier(
        |guard, context| Box::pin(reconcile(guard, context)),
        |guard, error, context| again(&guard, error, &context),
        context.clone(),
        store,
        triggers.take_until(cancel.cancelled_owned()).inspect_ok(|server| {
            context.pace.meter.queued(named(server));
        }),
        config,
    );
    let mut outcomes = pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        note(&context, outcome).await;
    }
}

type Ended = Result<
    (ObjectRef<DeserializeGuard<MCPServer>>, Action),
    ControllerError<Error, kube::runtime::watcher::Error>,
>;

async fn note(context: &Context, outcome: Ended) {
    match outcome {
        Ok((server, _)) => tracing::debug!(%server, "reconciled"),
        Err(ControllerError::ObjectNotFound(gone)) => {
            let namespace = gone.namespace.clone().unwrap_or_default();
            let name = ServerName { namespace, name: gone.name.clone() };
            context.forget(&name);
            if let Err(error) = elsewhere::sweep(context, &name).await {
                tracing::warn!(server = %name, %error, "what it left in another namespace is still there");
            }
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
    let name = named(&ObjectRef::from_obj(&*guard));
    context.pace.meter.begun(&name);
    let left = if context.unseen.is_outdated(&name, guard.meta().resource_version.as_deref()) {
        // What we wrote last is on its way to us. Writing over what was before it would be refused.
        Left::Again(Cause::Conflict)
    } else {
        context.pace.meter.timed(Step::All, look(&guard, &name, &context)).await?
    };
    Ok(match left {
        Left::Nothing => context.pace.settled(&name),
        Left::Again(cause) => context.pace.again(&name, cause),
    })
}

async fn look(
    guard: &DeserializeGuard<MCPServer>,
    name: &ServerName,
    context: &Context,
) -> Result<Left, Error> {
    let server = match &guard.0 {
        Ok(server) => server,
        Err(invalid) => {
            unparsable::report::<MCPServer>(&context.writer, invalid).await.map_err(Error::Event)?;
            let waits = proxied::let_go(context, invalid, name).await?;
            return Ok(if waits { Left::Again(Cause::Deleting) } else { Left::Nothing });
        }
    };
    let held = proxied::hold(context, server, name).await?;
    let server = match &held {
        Held::AsItWas => server,
        Held::Changed(changed) => &**changed,
        Held::Leaving { waits: true } => return Ok(Left::Again(Cause::Deleting)),
        Held::Leaving { waits: false } => return Ok(Left::Nothing),
    };
    // dereference (client required)
    let observations = context.observations.borrow().clone();
    let reading = dereference::dereference(&context.client, name, &observations);
    let live = context.pace.meter.timed(Step::Dereference, reading).await?;
    let evidence = evidence::gather(&context.client, name, &live.pods, &context.last_words).await;
    // validate (no client required)
    let bridge_image = live.bridge_image().or(context.own_image.as_deref());
    let validated = match validate::validate(server, bridge_image) {
        Ok(validated) => validated,
        Err(why) => {
            report::report(context, server, &Situation::Invalid(&why), &live).await?;
            return Ok(Left::Nothing);
        }
    };
    // Before anything is written: what runs already is left as it is.
    let violations = context.policy.violations(server);
    if !violations.is_empty() {
        report::report(context, server, &Situation::PolicyViolated(&violations), &live).await?;
        return Ok(Left::Nothing);
    }
    let ValidatedServer { owner, runs } = &validated;
    let Context { client, writer, served, sightings, memory, .. } = context;
    let applier = Applier { client, writer, served, sightings, memory, owner };
    match runs {
        Runs::Remote(url) => {
            context.referred.forget(name);
            applier.remove(live.stored_deployment.as_ref()).await.map_err(Error::Apply)?;
            let unread = context.unread_headers(server, name);
            report::report(context, server, &Situation::Remote { url, unread: unread.as_deref() }, &live)
                .await?;
            // The Secrets of its headers may not have been looked at yet.
            let is_settled = unread.is_none() && (live.observation.is_some() || !has_headers(server));
            Ok(if is_settled { Left::Nothing } else { Left::Again(Cause::Starting) })
        }
        Runs::Workload(workload) => {
            let mut workload = workload.clone();
            if context.sleeps(server, name, &live).await {
                workload.sleep();
            }
            let workload = &*workload;
            // dereference what the pods refer to (client required)
            let sources = match sources::find(context, name, server, &live).await? {
                Ok(sources) => sources,
                Err(why) => return unusable(context, server, &why, &live).await,
            };
            let mut refers = references::of(owner, workload);
            if let Some(sources) = &sources {
                references::add_environment(&mut refers, &sources.connected.read_by_kubelet(name));
                references::bring(&mut refers, &sources.connected.brought);
            }
            let looks = context.referred.look(name, &refers).await?;
            // build (no client required)
            let told = Told::of(live.deployment.as_ref()).now(&looks.sights)?;
            let around = Around {
                own_namespace: &context.own_namespace,
                rotation: told.rotation.as_deref(),
                sources: sources.as_ref().map(|sources| &sources.connected),
                own_image: context.own_image.as_deref(),
                running: live.deployment.as_ref().and_then(build::made_from),
            };
            let mut children = build::build(owner, workload, &around)?;
            told.note_on(&mut children.deployment)?;
            // apply (writer required)
            let copy = children.sources_copy.as_ref();
            let kept = sources::keep_copy(context, owner, copy, live.deployment.as_ref()).await;
            if let Err(why) = kept.map_err(Error::Apply)? {
                return unusable(context, server, &why, &live).await;
            }
            let has_copy = copy.is_some();
            let has_trouble = sources.as_ref().is_some_and(|sources| !sources.troubles.is_empty());
            // Their ExternalSecrets are the DataSources' and wake these alone.
            let is_brought = sources.as_ref().is_some_and(|sources| !sources.connected.brought.is_empty());
            let is_unseen = is_brought && looks.by_events;
            let children = children.list()?;
            let applying = applier.apply(&children, live.stored_deployment.as_ref(), workload.replicas);
            let applied = context.pace.meter.timed(Step::Apply, applying).await;
            // status (writer required)
            let (pods, evidence) = (&live.pods, &evidence);
            let rollout = context.rollout(server, name, pods).await?;
            let standing = &rollout;
            let obstacles = obstacles::found(context, server, owner, workload, &live).await;
            let extras =
                applied.as_ref().map(|applied| Extras::of(workload, &looks, applied, sources, obstacles));
            let extras = &extras.unwrap_or_default();
            let in_place = |deployment| Situation::Workload {
                owner,
                workload,
                deployment,
                pods,
                evidence,
                standing,
                extras,
            };
            let (situation, left) = match &applied {
                Ok(applied) => match &applied.outcome {
                    Outcome::InPlace(deployment) => (in_place(Some(deployment.as_ref())), after(applied)),
                    Outcome::Waits => (in_place(None), Left::Again(Cause::Deleting)),
                    Outcome::NamesTaken(names) => {
                        (Situation::NamesTaken(names.clone()), Left::Again(Cause::Refused))
                    }
                },
                Err(error) => match error.refusal() {
                    Some(said) => (Situation::Refused(said), Left::Again(Cause::Refused)),
                    None => return Err(Error::Apply(applied.err().unwrap_or(WriteError::NotLeading.into()))),
                },
            };
            let phase = report::report(context, server, &situation, &live).await?;
            // What its probes find is told by events of its pods, which wake nobody.
            let is_starting = rollout.is_open()
                || matches!(phase, Some(Phase::Deploying | Phase::Degraded)) && !pods.is_empty();
            Ok(match left {
                Left::Nothing if is_starting => Left::Again(Cause::Starting),
                // A role may be bound, a Secret that is not watched change: neither wakes anybody.
                Left::Nothing if has_trouble || has_copy || is_unseen => Left::Again(Cause::Copied),
                left => left,
            })
        }
    }
}

/// The pods that exist stay as they are until somebody corrects it, here or in another namespace.
async fn unusable(
    context: &Context,
    server: &MCPServer,
    why: &InvalidSpec,
    live: &Dereferenced,
) -> Result<Left, Error> {
    report::report(context, server, &Situation::Invalid(why), live).await?;
    Ok(Left::Again(Cause::Refused))
}

/// What may come without waking anybody, where every child that can be made is in place.
fn after(applied: &Applied) -> Left {
    if !applied.missing.is_empty() {
        Left::Again(Cause::KindMissing)
    } else if applied.external_secrets.iter().any(|one| rotation::is_just_refreshed(one, Timestamp::now())) {
        Left::Again(Cause::Refreshed)
    } else {
        Left::Nothing
    }
}

fn again(guard: &DeserializeGuard<MCPServer>, error: &Error, context: &Context) -> Action {
    let name = named(&ObjectRef::from_obj(guard));
    context.pace.failed(&name, failing(error), error)
}

fn failing(error: &Error) -> Failing {
    match error {
        Error::Apply(ApplyError::Write(error))
        | Error::Status(error)
        | Error::Event(error)
        | Error::Gate(error)
        | Error::Finalizer(error) => error.into(),
        Error::Dereference(_) | Error::Apply(ApplyError::Read(_)) => Failing::Unanswered,
        Error::Build(_) | Error::Apply(ApplyError::Json(_)) => Failing::Internal,
    }
}

fn has_headers(server: &MCPServer) -> bool {
    server.spec.remote.as_ref().is_some_and(|remote| !remote.headers_from.is_empty())
}

fn named(server: &ObjectRef<DeserializeGuard<MCPServer>>) -> ServerName {
    ServerName { namespace: server.namespace.clone().unwrap_or_default(), name: server.name.clone() }
}
