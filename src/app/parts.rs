//! The parts of one process, put together.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use futures::FutureExt;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    access::{ClusterAccess, Places},
    beside::{self, Beside},
    capture::Captured,
    change_access::ClusterChangeAccess,
    change_meters::ChangeMeters,
    cluster_checks::Checks,
    config::Configuration,
    emergency::{self, Emergencies},
    fleet_view::JoinedFleet,
    gateway,
    health::{self, Counted},
    leader::{self, ToLeader},
    operated::Operated,
    traces::Exporter,
};
use crate::{
    answer::{Budget, Ring, Sealer},
    audit::Audit,
    changes::{Alone, ChangeParts, ChangeRequests, Shelf, emergency::EmergencyConfig},
    cluster::{Connection, Contexts, Reader},
    fleet::{
        Roster, Serving,
        cluster::{Cluster, Reach},
        folder::Folder,
    },
    gateway::Gateway,
    mcp::{self, Face, HttpSettings, Manners},
    metrics::Backend,
    operator::{LitellmConfig, Operator, OperatorConfig, OperatorSettings, Peers, Webhook},
    tools::{self, ClusterChecks, ClusterObjects, ClusterOutcomes, Outcomes, Parts},
};

/// Open requests may take this long to finish once the process was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// What this process works on.
pub struct Sources {
    /// A cluster, live or recorded; or why there is none, for the tools to say.
    pub cluster: Result<Connection, String>,
    /// Live clusters have a fleet, recorded ones have not.
    pub live: bool,
    /// Namespaces whose MCPServers are used; empty: all.
    pub namespaces: Vec<String>,
    /// A folder of MCPServer manifests to run as local processes.
    pub servers: Option<PathBuf>,
    /// Present when this process reconciles.
    pub operator: Option<OperatorSettings>,
    /// Where what must outlive the process is kept.
    pub data: PathBuf,
    /// Every line of the record is also written to stderr.
    pub audit_to_stderr: bool,
    /// Seals cursors, where several replicas share a secret to make it from; otherwise one of this process.
    pub cursor_key: Option<[u8; 32]>,
}

/// One process of pilothouse: assembled by [`App::assemble`], its background work begun by [`App::start`].
pub struct App {
    face: Arc<Face>,
    gateway: Arc<Gateway>,
    idle: gateway::IdleConfig,
    audit: Audit,
    fleet: Option<Cluster>,
    folder: Option<Folder>,
    operator: Option<Operator>,
    changes: ChangeRequests,
    change_meters: ChangeMeters,
    /// Where the other replicas send what this one must do while it leads.
    led: Router,
    beside: Beside,
    capture: Option<Captured>,
    emergencies: Option<Emergencies>,
    /// Where the traces go, if anywhere.
    exporter: Option<Exporter>,
    ready: watch::Receiver<bool>,
}

impl App {
    /// Reads and opens what is on this machine; the network is not touched. Must be called inside a Tokio
    /// runtime.
    ///
    /// # Errors
    /// When a folder cannot be used or the configuration does not hold together.
    pub fn assemble(sources: Sources, configuration: Configuration) -> anyhow::Result<Self> {
        let Sources { cluster, live, namespaces, servers, operator, data, audit_to_stderr, cursor_key } =
            sources;
        // Who comes in is decided at the door.
        let Configuration {
            answers,
            changes,
            emergency,
            identity: _,
            access,
            gateway: treating,
            metrics,
            traces,
            operator: reconciling,
        } = configuration;
        let OperatorConfig { policy, webhook, litellm, peers } = reconciling;
        let litellm = litellm.map(LitellmConfig::settings).transpose()?;
        let audit = match audit_to_stderr {
            true => Audit::copied(&data, Box::new(std::io::stderr()))?,
            false => Audit::open(&data)?,
        };
        let (reader, own_namespace) = match &cluster {
            Ok(connection) => (connection.reader.clone(), connection.namespace.clone()),
            Err(why) => (Reader::absent(why), "default".to_owned()),
        };
        let named = peers.clone();
        let operator = operator.map(|settings| {
            let peers = if peers.is_empty() { settings.peers } else { Peers::Named(peers) };
            OperatorSettings { policy: Arc::new(policy), litellm, peers, ..settings }
        });
        let neighbours = beside::neighbours(&named, cluster.as_ref().ok(), operator.as_ref());
        let beside = Beside::new(cursor_key.as_ref(), neighbours)?;
        let (emergency, capturing) = emergency.map(EmergencyConfig::apart).unzip();
        let seen_by = cluster.as_ref().ok().filter(|_| live).zip(operator.as_ref());
        let capture = capturing.zip(seen_by).map(|(config, (connection, operator))| {
            Captured::open(config, &data, connection, operator, webhook.is_some(), cursor_key)
        });
        let capture = capture.transpose()?;
        let view = Arc::new(JoinedFleet::default());
        let contexts = match &cluster {
            Ok(connection) => connection.contexts.clone(),
            Err(why) => Contexts::one(Reader::absent(why)),
        };
        let sealer = match cursor_key {
            Some(key) => Sealer::with_key(&key),
            None => Sealer::random(),
        }
        .context("cursors cannot be sealed")?;
        let of_changes = Arc::new(ClusterChangeAccess(reader.clone()));
        let objects = ClusterObjects::new(contexts.clone(), sealer.clone());
        let dry_run = changes.dry_run.clone();
        let checks = match &cluster {
            Ok(connection) => Some(Checks::new(objects, connection, dry_run)?),
            Err(_) => None,
        };
        let checks = checks.map(|checks| Arc::new(checks) as Arc<dyn ClusterChecks>);
        let operated = (live && cluster.is_ok() && operator.is_some()).then(Arc::<Operated>::default);
        let shared = match cursor_key {
            Some(key) => {
                Some(Sealer::with_key(&leader::key(&key)).context("calls for the leader cannot be sealed")?)
            }
            None => None,
        };
        let change_meters = ChangeMeters::default();
        let outcomes = ClusterOutcomes::new(contexts.clone(), sealer.clone());
        let changes = ChangeRequests::of(ChangeParts {
            config: changes,
            data: data.clone(),
            audit: audit.clone(),
            access: Some(of_changes),
            cluster: checks,
            finder: cluster
                .is_ok()
                .then(|| tools::source_finder(contexts.clone(), Budget::of(answers.budget), sealer.clone())),
            shelf: operated.clone().map(|operated| operated as Arc<dyn Shelf>),
            outcomes: cluster.is_ok().then(|| Arc::new(outcomes) as Arc<dyn Outcomes>),
            lead: match &operated {
                Some(operated) => operated.clone(),
                None => Arc::new(Alone),
            },
            counting: Arc::new(change_meters.clone()),
            own_namespace: own_namespace.clone(),
        })?;
        let to_leader = match &operated {
            Some(operated) => {
                let (sealer, operated) = (shared.clone(), operated.clone());
                let http = leader::http().context("the other replicas cannot be called")?;
                Some(Arc::new(ToLeader { sealer, operated, http }) as Arc<dyn tools::Leader>)
            }
            None => None,
        };
        let following = changes.clone();
        if emergency.is_some() && operated.is_none() {
            tracing::warn!(
                "emergency in the configuration has no effect here: only a process that reconciles (--operator on) captures what people write, so no emergency can be opened"
            );
        }
        let emergencies = emergency.zip(operated.clone()).map(|(config, operated)| {
            let surroundings = emergency::Surroundings {
                reader: reader.clone(),
                acting: cluster.as_ref().ok().filter(|_| live).map(|connection| connection.acting.clone()),
                operated,
                changes: changes.clone(),
                own_namespace: own_namespace.clone(),
            };
            Emergencies::open(config, audit.clone(), surroundings)
        });
        let emergencies = emergencies.transpose()?;
        let toolbox = tools::standard(Parts {
            contexts,
            leader: to_leader,
            fleet: Some(view.clone()),
            metrics: Backend::new(&metrics)?.map(|backend| Arc::new(backend) as Arc<dyn tools::Metrics>),
            emergencies: emergencies
                .as_ref()
                .map(|emergencies| Arc::new(emergencies.room()) as Arc<dyn tools::Emergencies>),
            changes: changes.is_configured().then(|| Arc::new(changes) as Arc<dyn tools::Changes>),
            gitops: capture.as_ref().map(Captured::coverage),
            budget: Budget::of(answers.budget),
            sealer,
        });
        let ring = match cursor_key {
            Some(key) => Some(Ring::with_root(&key)),
            None => Ring::random().ok(),
        };
        let mut own = mcp::own::entries(&toolbox);
        own.extend(mcp::search_entries());
        let settings = gateway::settings(&data, ring, beside.here().to_owned(), treating.idle);
        let gateway = Arc::new(Gateway::with(own, settings));
        let roster = Roster::new(gateway.clone());
        view.plug(roster.clone(), gateway.clone());

        let folder = servers.map(|path| Folder::open(&path, roster.clone())).transpose()?;
        let (fleet, operator) = match cluster {
            Ok(Connection { client, in_cluster, .. }) if live => {
                let reach = if in_cluster { Reach::Direct } else { Reach::PortForward };
                let webhook = webhook.filter(|_| operator.is_some()).map(Webhook::bind).transpose()?;
                let webhook = webhook.map(|webhook| match &capture {
                    Some(capture) => webhook.witness(capture.doors(audit.clone())),
                    None => webhook,
                });
                let operator = operator.map(|settings| {
                    let serving = Serving::new(gateway.clone(), roster.clone(), client.clone(), reach);
                    Operator::new(client.clone(), settings, gateway.observations())
                        .serving(serving)
                        .webhook(webhook)
                });
                if let (Some(operated), Some(operator)) = (&operated, &operator) {
                    operated.plug(operator);
                }
                (Some(Cluster::new(client, namespaces, reach, roster)), operator)
            }
            _ => (None, None),
        };
        let ready = fleet.as_ref().map_or_else(|| watch::channel(true).1, Cluster::listed);
        let places = Places { own: own_namespace, fleet: view };
        let access = Arc::new(ClusterAccess::new(reader, places, access, &toolbox));
        let toolbox = Arc::new(toolbox);
        let led = match (operated, shared) {
            (Some(operated), Some(sealer)) => leader::router(sealer, toolbox.clone(), operated),
            _ => Router::new(),
        };
        let (spans, exporter) = Exporter::of(traces)?.unzip();
        let manners = Manners::new(treating.rate_limit.map(gateway::RateConfig::limit), spans);
        let face = Face::new(gateway.clone(), toolbox, audit.clone(), access)
            .treating(treating.list_up_to.get(), manners);
        let changes = following;
        Ok(Self {
            face,
            gateway,
            idle: treating.idle,
            audit,
            fleet,
            folder,
            operator,
            changes,
            change_meters,
            led,
            beside,
            capture,
            emergencies,
            exporter,
            ready,
        })
    }

    /// The MCP routes: `/mcp`, `/sse`, `/messages`.
    pub fn router(&self, settings: HttpSettings) -> Router {
        self.beside.doors(self.face.clone(), self.gateway.clone(), self.idle.sessions(settings))
    }

    /// `/livez`, `/readyz`, `/metrics`, `/use`, and `/led` and `/peers` for the other replicas.
    pub fn health(&self) -> Router {
        let (capture, emergencies) = (self.capture.as_ref(), self.emergencies.as_ref());
        let (operator, audit) = (self.operator.as_ref(), self.audit.clone());
        let ready = self.ready.clone();
        let (changes, face) = (&self.change_meters, &self.face);
        let counted = Counted { operator, audit, changes, capture, emergencies, face };
        let health = health::router(self.gateway.clone(), ready, counted);
        let inside = health.merge(self.led.clone()).merge(self.beside.router());
        mcp::recorded(inside, self.audit.clone())
    }

    /// How long the health port stays open after everything else has ended.
    pub fn lingering(&self) -> Duration {
        self.beside.lingering()
    }

    /// For [`mcp::stdio::serve`].
    pub fn face(&self) -> Arc<Face> {
        self.face.clone()
    }

    /// Begins the background work: fleet, folder, operator, what becomes of changes.
    pub fn start(self) -> Running {
        let Self {
            face,
            gateway,
            idle: _,
            audit,
            fleet,
            folder,
            operator,
            changes,
            change_meters: _,
            led: _,
            beside,
            capture,
            emergencies,
            exporter,
            ready: _,
        } = self;
        let stop = CancellationToken::new();
        let mut sources = JoinSet::new();
        let inherited = beside.inherit(gateway.clone()).shared();
        if let Some(fleet) = fleet {
            let (inherited, stop) = (inherited.clone(), stop.clone());
            sources.spawn(async move {
                inherited.await;
                fleet.run(stop).await;
            });
        }
        if let Some(folder) = folder {
            let stop = stop.clone();
            sources.spawn(async move {
                inherited.await;
                folder.run(stop).await;
            });
        }
        sources.spawn(changes.follow(stop.clone()));
        if let Some(exporter) = exporter {
            sources.spawn(exporter.run(stop.clone()));
        }
        let leadership = operator.as_ref().map(Operator::leadership);
        if let Some((emergencies, leadership)) = emergencies.zip(leadership) {
            if let Some(capture) = capture {
                sources.spawn(capture.run(emergencies.room(), leadership.clone(), stop.clone()));
            }
            sources.spawn(emergencies.run(leadership, stop.clone()));
        }
        let operator = operator.map(|operator| tokio::spawn(operator.run(stop.clone())));
        Running { face, gateway, audit, stop, sources, operator }
    }
}

/// An [`App`] at work.
pub struct Running {
    face: Arc<Face>,
    gateway: Arc<Gateway>,
    audit: Audit,
    stop: CancellationToken,
    sources: JoinSet<()>,
    operator: Option<JoinHandle<()>>,
}

impl Running {
    /// In this order: the operator finishes its writes and gives the lease back while requests still finish;
    /// then the downstreams and their processes end; the record is closed last, since all others write to it.
    ///
    /// # Errors
    /// When the record could not be written to its end.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let operator = async {
            if let Some(operator) = self.operator
                && let Err(error) = operator.await
            {
                tracing::error!(%error, "the operator's task failed");
            }
        };
        tokio::join!(self.face.shutdown(GRACE), operator);
        while let Some(ended) = self.sources.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a source of servers failed");
            }
        }
        self.gateway.shutdown(Duration::from_secs(3)).await;
        self.audit.close().await.context("the last lines of the audit record are not on disk")
    }
}
