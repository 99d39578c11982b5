//! The operator: keeps what an MCPServer declares true. The only holder of a writing client.
//!
//! Every replica may run it; the one that holds the Lease reconciles and writes, the others wait for the Lease.
//! `README.md` beside this file says how children are applied, and why so.

mod backoff;
mod config;
mod data_source;
mod deeds;
mod events;
mod external_secret;
mod field_error;
mod kind;
mod lease;
mod manifests;
mod mcp_server;
mod metrics;
mod policy;
mod served;
mod settings;
mod versions;
mod webhook;
mod writer;

pub use config::OperatorConfig;
pub use data_source::check_source;
pub use lease::{Leadership, Timing};
pub use manifests::{ManifestsError, manifests, namespaced_manifests, webhook_manifests, with_webhook};
pub use metrics::Metrics;
pub use policy::Policy;
pub use settings::{LEASE, OperatorSettings};
pub use webhook::{Webhook, WebhookConfig, WebhookError};

use std::{pin::pin, sync::Arc, time::Duration};

use futures::future::{join_all, join3};
use kube::Client;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::fleet::{Observations, Serving};
use data_source::{Dial, Loopback};
use lease::Keeper;
use mcp_server::{Context, Examiner};
use writer::Writer;

/// What is under way when the lease is lost or the program ends may take this long.
const DRAIN: Duration = Duration::from_secs(5);

/// Assembled by [`Operator::new`], acts in [`Operator::run`].
pub struct Operator {
    client: Client,
    settings: OperatorSettings,
    observations: watch::Receiver<Observations>,
    serving: Option<Serving>,
    webhook: Option<Webhook>,
    keeper: Keeper,
    leadership: watch::Receiver<Leadership>,
    metrics: Metrics,
}

impl Operator {
    /// `client` acts with the operator's own rights. `observations` is what the gateway of this process has seen
    /// of the servers.
    pub fn new(
        client: Client,
        settings: OperatorSettings,
        observations: watch::Receiver<Observations>,
    ) -> Self {
        let OperatorSettings { lease_namespace, identity, lease_timing, .. } = &settings;
        let keeper = Keeper::new(client.clone(), lease_namespace, LEASE, identity, *lease_timing);
        let leadership = keeper.leadership();
        let metrics = Metrics::default();
        // So that its metrics are there, as 0, also where this process never leads.
        metrics.meter(mcp_server::KIND);
        metrics.meter(data_source::KIND);
        Self { client, settings, observations, serving: None, webhook: None, keeper, leadership, metrics }
    }

    /// With this it can ask pods and knows who uses a server: without it no gate of a rollout opens, and no server
    /// sleeps.
    #[must_use]
    pub fn serving(self, serving: Serving) -> Self {
        Self { serving: Some(serving), ..self }
    }

    /// With this the API server may ask it about objects before they are stored, in every replica.
    #[must_use]
    pub fn webhook(self, webhook: Option<Webhook>) -> Self {
        Self { webhook, ..self }
    }

    /// What it counts, to be registered before it runs.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Whether this process writes at this moment.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Waits for the Lease, reconciles while it is held, and gives it back after `cancel`.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { client, settings, observations, serving, webhook, keeper, mut leadership, metrics } = self;
        // The Lease outlives the reconciling: nothing is under way any more when it is given back.
        let keeping = CancellationToken::new();
        // A set, so that the keeper ends with this future when it is dropped.
        let mut kept = JoinSet::new();
        kept.spawn(keeper.run(keeping.clone()));
        let mut saying = JoinSet::new();
        saying.spawn(versions::say(client.clone(), cancel.clone()));
        let mut answering = JoinSet::new();
        let certificate = webhook.as_ref().and_then(|webhook| webhook.keeper(&client, &settings));
        if let Some(webhook) = webhook {
            let examiner = Examiner::new(client.clone(), &settings, serving.clone());
            answering.spawn(webhook.run(
                client.clone(),
                settings.lease_namespace.clone(),
                examiner,
                cancel.clone(),
            ));
        }
        while leads(&mut leadership, &cancel).await {
            metrics.term_begins();
            let writer = Writer::new(client.clone(), leadership.clone(), &settings.identity, metrics.clone());
            let context = Context::new(client.clone(), writer, observations.clone(), &settings, &metrics)
                .serving(serving.clone());
            let term = cancel.child_token();
            let servers = reconcile(Arc::new(context), &settings, &term);
            let another =
                || Writer::new(client.clone(), leadership.clone(), &settings.identity, metrics.clone());
            let writer = another();
            let kept = webhook::keep(certificate.as_ref(), &writer, &term);
            let sources = check_sources(client.clone(), another(), &metrics, &settings, &term);
            let mut reconciling = pin!(join3(servers, sources, kept));
            let has_ended = tokio::select! {
                _ = &mut reconciling => true,
                _ = leadership.wait_for(|now| *now == Leadership::Following) => false,
                () = cancel.cancelled() => false,
            };
            term.cancel();
            if !has_ended && timeout(DRAIN, reconciling).await.is_err() {
                tracing::warn!("reconciling did not end within {DRAIN:?} and is given up");
            }
            metrics.term_ends();
        }
        keeping.cancel();
        if let Some(Err(error)) = kept.join_next().await {
            tracing::error!(%error, "the task that keeps the lease failed");
        }
    }
}

/// Waits until this process leads; false when the program ends.
async fn leads(leadership: &mut watch::Receiver<Leadership>, cancel: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = cancel.cancelled() => false,
        led = leadership.wait_for(|now| *now != Leadership::Following) => led.is_ok(),
    }
}

async fn reconcile(context: Arc<Context>, settings: &OperatorSettings, term: &CancellationToken) {
    let run = |namespace| mcp_server::run(context.clone(), namespace, settings.concurrency, term.clone());
    if settings.namespaces.is_empty() {
        run(None).await;
    } else {
        join_all(settings.namespaces.iter().map(|namespace| run(Some(namespace)))).await;
    }
}

/// Checks the DataSources. Where names cannot be resolved at all they are not checked, and the rest goes on.
async fn check_sources(
    client: Client,
    writer: Writer,
    metrics: &Metrics,
    settings: &OperatorSettings,
    term: &CancellationToken,
) {
    let loopback = if settings.checks_loopback { Loopback::Allowed } else { Loopback::Refused };
    let dial = match Dial::new(loopback) {
        Ok(dial) => dial,
        Err(error) => {
            tracing::error!(error, "DataSources are not checked");
            return term.cancelled().await;
        }
    };
    let context = Arc::new(data_source::Context::new(
        client,
        writer,
        dial,
        metrics,
        settings.policy.clone(),
        term.clone(),
    ));
    let run = |namespace| data_source::run(context.clone(), namespace);
    if settings.namespaces.is_empty() {
        run(None).await;
    } else {
        join_all(settings.namespaces.iter().map(|namespace| run(Some(namespace)))).await;
    }
}
