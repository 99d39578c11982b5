//! The one task that tells the proxy, while this process leads. What is wanted together is told together; the proxy is
//! looked at again after a while, and a look at what is as it should be writes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kube::{Api as KubeApi, Client};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    api,
    config::{ConfigMapSettings, LitellmSettings, ProxySettings},
    config_map::{self, File, Trouble},
    entry::{Dialect, Present},
    plan::{Failure, Plan, Standing, Step, Wish, plan},
    registrar::Registrar,
};
use crate::{
    api::MCPServer,
    fleet::ServerName,
    operator::{
        backoff::{Backoff, Cause},
        metrics::Metrics,
        writer::Writer,
    },
};

/// Servers that change together are told together, and a proxy is restarted once for them.
const TOGETHER: Duration = Duration::from_millis(500);
/// Until a new leader has heard of its servers.
const FIRST: Duration = Duration::from_secs(5);
/// A proxy that could not be told is not asked more often than this, whoever changes.
const CALM: Duration = Duration::from_secs(5);
/// How often a ConfigMap is read again at once because somebody else wrote it.
const CONFLICTS: u32 = 5;

/// What a look needs besides the wishes.
pub(in crate::operator) struct Teller<'a> {
    pub(in crate::operator) registrar: &'a Registrar,
    pub(in crate::operator) client: &'a Client,
    pub(in crate::operator) writer: &'a Writer,
    pub(in crate::operator) metrics: &'a Metrics,
    /// The namespaces we answer for; empty: all.
    pub(in crate::operator) namespaces: &'a [String],
}

/// How a look ended.
struct Look {
    standings: BTreeMap<ServerName, Standing>,
    /// Something is to be tried again.
    troubled: bool,
}

impl Teller<'_> {
    /// Until `cancel`; what is under way is finished.
    pub(in crate::operator) async fn run(self, cancel: CancellationToken) {
        let LitellmSettings { look_every, .. } = *self.registrar.settings();
        let mut backoff = Backoff::<()>::default();
        let mut next = Instant::now() + FIRST;
        let mut calm = Instant::now();
        loop {
            let heard = async {
                self.registrar.changed().await;
                tokio::time::sleep_until(calm.max(Instant::now() + TOGETHER)).await;
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
                () = heard => {}
            }
            let wanted = self.registrar.wanted(Instant::now());
            let Look { standings, troubled } = self.look(&wanted.wishes).await;
            self.registrar.publish(&wanted, standings);
            let now = Instant::now();
            calm = if troubled { now + CALM } else { now };
            next = if troubled {
                now + backoff.apply((), Cause::Refused, now)
            } else {
                backoff.forget(&());
                wanted.until.into_iter().chain([now + look_every]).min().unwrap_or(now + look_every)
            };
        }
    }

    async fn look(&self, wishes: &BTreeMap<ServerName, Wish>) -> Look {
        let looked = match &self.registrar.settings().proxy {
            ProxySettings::ConfigMap(settings) => self.file(settings, wishes).await,
            ProxySettings::Api { base, key, http } => match api::key(key, self.client).await {
                Ok(key) => self.proxy(&api::Proxy { base, http, key }, wishes).await,
                Err(failure) => Err(failure),
            },
        };
        looked.unwrap_or_else(|failure| {
            tracing::warn!(reason = %failure.message, "the LiteLLM proxy could not be told, trying again");
            self.metrics.litellm_failed(failure.kind);
            let standings =
                wishes.keys().map(|server| (server.clone(), Standing::Failed(failure.clone()))).collect();
            Look { standings, troubled: true }
        })
    }

    async fn file(
        &self,
        settings: &ConfigMapSettings,
        wishes: &BTreeMap<ServerName, Wish>,
    ) -> Result<Look, Failure> {
        for _ in 0..CONFLICTS {
            let Some(file) = File::read(settings, self.client).await? else {
                return Ok(nowhere(wishes, &File::missing(settings)));
            };
            let plan = self.planned(Dialect::File, &file.entries()?, wishes).await;
            let owner = &self.registrar.settings().owner;
            match file.make(&plan.steps, owner, self.client, self.writer).await {
                Ok(restarted) => {
                    for (verb, count) in config_map::counted(&plan.steps) {
                        self.metrics.litellm_told(verb, count);
                    }
                    if restarted {
                        self.metrics.litellm_told("restart", 1);
                    }
                    if !plan.steps.is_empty() {
                        tracing::info!(
                            steps = plan.steps.len(),
                            restarted,
                            "the LiteLLM proxy's ConfigMap is written"
                        );
                    }
                    return Ok(Look { standings: plan.standings, troubled: false });
                }
                Err(Trouble::Outdated) => {}
                Err(Trouble::NotLeading) => return Ok(Look { standings: BTreeMap::new(), troubled: true }),
                Err(Trouble::Failed(failure)) => return Err(failure),
            }
        }
        let ConfigMapSettings { namespace, name, .. } = settings;
        Err(Failure::unreachable(format!(
            "ConfigMap {namespace}/{name} is written by others all the time: it is tried again"
        )))
    }

    async fn proxy(
        &self,
        proxy: &api::Proxy<'_>,
        wishes: &BTreeMap<ServerName, Wish>,
    ) -> Result<Look, Failure> {
        let Plan { steps, mut standings, unknown: _ } =
            self.planned(Dialect::Api, &proxy.entries().await?, wishes).await;
        let mut troubled = false;
        for step in &steps {
            let made = self.writer.elsewhere(proxy.make(step, &self.registrar.settings().owner)).await;
            let server = match step {
                Step::Delete { server, .. } | Step::Update { server, .. } | Step::Create { server, .. } => {
                    server
                }
            };
            match made {
                Ok(Ok(())) => {
                    tracing::info!(%server, verb = step.verb(), "the LiteLLM proxy is told");
                    self.metrics.litellm_told(step.verb(), 1);
                }
                Ok(Err(failure)) => {
                    tracing::warn!(%server, reason = %failure.message, "the LiteLLM proxy did not do it, trying again");
                    self.metrics.litellm_failed(failure.kind);
                    troubled = true;
                    standings.insert(server.clone(), Standing::Failed(failure));
                }
                Err(_) => return Ok(Look { standings: BTreeMap::new(), troubled: true }),
            }
        }
        Ok(Look { standings, troubled })
    }

    /// Entries of servers that are gone without our having seen it go too.
    async fn planned(
        &self,
        dialect: Dialect,
        present: &[Present],
        wishes: &BTreeMap<ServerName, Wish>,
    ) -> Plan {
        let owner = &self.registrar.settings().owner;
        let planned = plan(owner, dialect, present, wishes);
        let lost = self.lost(&planned.unknown).await;
        if lost.is_empty() {
            return planned;
        }
        let mut wishes = wishes.clone();
        wishes.extend(lost.into_iter().map(|server| (server, Wish::Gone)));
        plan(owner, dialect, present, &wishes)
    }

    /// Those that are surely not there, or want no entry.
    async fn lost(&self, unknown: &BTreeSet<ServerName>) -> Vec<ServerName> {
        let mut lost = Vec::new();
        for server in unknown {
            if !self.namespaces.is_empty() && !self.namespaces.contains(&server.namespace) {
                continue;
            }
            let servers = KubeApi::<MCPServer>::namespaced(self.client.clone(), &server.namespace);
            match servers.get_opt(&server.name).await {
                Ok(None) => lost.push(server.clone()),
                Ok(Some(found)) if !found.spec.litellm.register => lost.push(server.clone()),
                Ok(Some(_)) => {}
                Err(error) => {
                    tracing::debug!(%server, %error, "not known whether it is gone: its entry stays");
                }
            }
        }
        lost
    }
}

/// Where nothing is, nothing has to be taken out.
fn nowhere(wishes: &BTreeMap<ServerName, Wish>, why: &Failure) -> Look {
    let standing = |wish: &Wish| match wish {
        Wish::There(_) => Standing::Failed(why.clone()),
        Wish::AsItIs | Wish::Gone => Standing::Gone,
    };
    let troubled = wishes.values().any(|wish| matches!(wish, Wish::There(_)));
    if troubled {
        tracing::warn!(reason = %why.message, "servers cannot be registered in LiteLLM, trying again");
    }
    Look {
        standings: wishes.iter().map(|(server, wish)| (server.clone(), standing(wish))).collect(),
        troubled,
    }
}
