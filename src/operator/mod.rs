//! The operator: keeps what an MCPServer declares true. The only holder of a writing client.
//!
//! Every replica may run it; the one that holds the Lease reconciles and writes, the others wait for the Lease.
//! `README.md` beside this file says how children are applied, and why so.

mod as_caller;
mod backoff;
mod change_request;
mod conditions;
mod config;
mod data_source;
mod deeds;
mod dry_run;
mod emergency_change;
mod events;
mod external_secret;
mod field_error;
mod kind;
mod lease;
mod litellm;
mod manifests;
mod mcp_pool;
mod mcp_server;
mod metrics;
mod offered;
mod pace;
mod peers;
mod policy;
mod served;
mod settings;
mod term;
mod unparsable;
mod versions;
mod watches;
mod webhook;
mod writer;

pub use as_caller::{AsCaller, AsCallerError};
pub use change_request::{ChangeStore, ChangeStoreError, StoredChanges};
pub use config::OperatorConfig;
pub use data_source::check_source;
pub use dry_run::{DryRun, DryRunAnswer};
pub use emergency_change::{EmergencyStore, EmergencyStoreError};
pub use lease::{Leadership, Timing};
pub use litellm::{
    Address, ApiConfig, ConfigMapConfig, Format, KeySecretRef, LitellmConfig, LitellmConfigError,
    LitellmSettings, RestartConfig,
};
pub use manifests::{
    ManifestsError, dry_run_manifests, manifests, namespaced_manifests, webhook_manifests, with_dry_run,
    with_webhook, with_witness, witness_manifests,
};
pub use metrics::Metrics;
pub use peers::{Leaders, Others};
pub use policy::Policy;
pub use settings::{LEASE, OperatorSettings, Peers};
pub use webhook::{Posted, Webhook, WebhookConfig, WebhookError, Witness};

use std::{pin::pin, time::Duration};

use kube::Client;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::fleet::{Observations, Serving};
use lease::Keeper;
use mcp_server::Examiner;
use term::Term;
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
        metrics.meter(mcp_pool::KIND);
        Self { client, settings, observations, serving: None, webhook: None, keeper, leadership, metrics }
    }

    /// With this it can ask pods, and knows who uses a server and who belongs to which pool: without it no gate of a
    /// rollout opens, no server sleeps, and no MCPPool has a status.
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

    /// The ChangeRequests of the cluster; writing them fails while this process does not lead.
    pub fn changes(&self) -> ChangeStore {
        let Self { client, settings, leadership, metrics, .. } = self;
        let OperatorSettings { namespaces, identity, lease_namespace, .. } = settings;
        let writer = Writer::new(client.clone(), leadership.clone(), identity, metrics.clone());
        ChangeStore::new(writer, namespaces.clone(), lease_namespace)
    }

    /// The EmergencyChanges beside the Lease; writing them fails while this process does not lead.
    pub fn emergencies(&self) -> EmergencyStore {
        let Self { client, settings, leadership, metrics, .. } = self;
        let OperatorSettings { identity, lease_namespace, .. } = settings;
        let writer = Writer::new(client.clone(), leadership.clone(), identity, metrics.clone());
        EmergencyStore::new(writer, lease_namespace)
    }

    /// The way to the replica that leads.
    pub fn leaders(&self) -> Leaders {
        Leaders::new(self.client.clone(), &self.settings)
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
        let terms = leadership.clone();
        while leads(&mut leadership, &cancel).await {
            metrics.term_begins();
            let over = cancel.child_token();
            let term = Term {
                client: &client,
                settings: &settings,
                metrics: &metrics,
                leadership: &terms,
                observations: &observations,
                serving: serving.as_ref(),
                certificate: certificate.as_ref(),
            };
            let mut reconciling = pin!(term.run(&over));
            let has_ended = tokio::select! {
                () = &mut reconciling => true,
                _ = leadership.wait_for(|now| *now == Leadership::Following) => false,
                () = cancel.cancelled() => false,
            };
            over.cancel();
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
