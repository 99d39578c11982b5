//! What runs while this process holds the lease: a controller for each kind, and what is kept outside of them.

use std::{future::Future, sync::Arc};

use futures::future::{OptionFuture, join, join_all, join4};
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Leadership, OperatorSettings,
    data_source::{self, Dial, Loopback},
    litellm::Teller,
    mcp_pool, mcp_server,
    metrics::Metrics,
    webhook,
    writer::Writer,
};
use crate::fleet::{Observations, Serving};

/// What every term works with.
pub(super) struct Term<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a OperatorSettings,
    pub(super) metrics: &'a Metrics,
    pub(super) leadership: &'a watch::Receiver<Leadership>,
    pub(super) observations: &'a watch::Receiver<Observations>,
    pub(super) serving: Option<&'a Serving>,
    /// Of the webhook, where this process keeps its certificate.
    pub(super) certificate: Option<&'a webhook::Keeper>,
}

impl Term<'_> {
    /// Until `over`, or until every controller has given up.
    pub(super) async fn run(&self, over: &CancellationToken) {
        let writer = self.writer();
        let kept = webhook::keep(self.certificate, &writer, over);
        join4(self.servers(over), self.sources(over), self.pools(over), kept).await;
    }

    /// One for each, since it remembers what was done until it is told of.
    fn writer(&self) -> Writer {
        let Self { client, settings, leadership, metrics, .. } = *self;
        Writer::new(client.clone(), leadership.clone(), &settings.identity, metrics.clone())
    }

    async fn servers(&self, over: &CancellationToken) {
        let Self { client, settings, metrics, observations, serving, .. } = *self;
        let context =
            mcp_server::Context::new(client.clone(), self.writer(), observations.clone(), settings, metrics)
                .serving(serving.cloned(), settings);
        let context = Arc::new(context);
        let reconciling = self.everywhere(|namespace| {
            mcp_server::run(context.clone(), namespace, settings.concurrency, over.clone())
        });
        let registering = OptionFuture::from(context.registrar.as_ref().map(|registrar| {
            let (writer, namespaces) = (&context.writer, settings.namespaces.as_slice());
            Teller { registrar, client, writer, metrics, namespaces }.run(over.clone())
        }));
        join(reconciling, registering).await;
    }

    /// Where names cannot be resolved at all, sources are not checked, and the rest goes on.
    async fn sources(&self, over: &CancellationToken) {
        let Self { client, settings, metrics, .. } = *self;
        let loopback = if settings.checks_loopback { Loopback::Allowed } else { Loopback::Refused };
        let dial = match Dial::new(loopback) {
            Ok(dial) => dial,
            Err(error) => {
                tracing::error!(error, "DataSources are not checked");
                return over.cancelled().await;
            }
        };
        let policy = settings.policy.clone();
        let context =
            data_source::Context::new(client.clone(), self.writer(), dial, metrics, policy, over.clone());
        let context = Arc::new(context);
        self.everywhere(|namespace| data_source::run(context.clone(), namespace)).await;
    }

    /// Who belongs to a pool is the gateway's to say: without one there is nothing to keep.
    async fn pools(&self, over: &CancellationToken) {
        let Self { settings, metrics, observations, serving, .. } = *self;
        let Some(serving) = serving else { return over.cancelled().await };
        let (observations, policy) = (observations.clone(), settings.policy.clone());
        let context = mcp_pool::Context::new(self.writer(), observations, serving.clone(), policy, metrics);
        let context = Arc::new(context);
        self.everywhere(|namespace| {
            mcp_pool::run(context.clone(), namespace, settings.concurrency, over.clone())
        })
        .await;
    }

    /// In each watched namespace, or in all at once.
    async fn everywhere<'a, F: Future<Output = ()>>(&'a self, run: impl Fn(Option<&'a str>) -> F) {
        let namespaces = &self.settings.namespaces;
        if namespaces.is_empty() {
            run(None).await;
        } else {
            join_all(namespaces.iter().map(|namespace| run(Some(namespace)))).await;
        }
    }
}
