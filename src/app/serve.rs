//! `pilothouse serve`.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, anyhow, bail};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    config::Configuration,
    data, door,
    parts::{App, Running, Sources},
    unused_code,
};
use crate::{
    caller::Caller,
    cli::{AuditStderr, DoorArgs, Operator, ServeArgs},
    cluster::{self, ConnectOptions, Connection},
    mcp::{self, HttpSettings},
    operator::{OperatorSettings, Peers, Timing},
};

/// Serves until the client leaves (stdio) or the process is told to stop.
pub(super) async fn serve(arguments: ServeArgs) -> anyhow::Result<()> {
    // Ends with the process.
    tokio::spawn(unused_code::give_back());
    match arguments.http {
        None => over_stdio(arguments).await,
        Some(address) => over_http(arguments, address, |_| Ok(())).await,
    }
}

async fn over_stdio(arguments: ServeArgs) -> anyhow::Result<()> {
    let configuration = Configuration::read(arguments.config.as_deref())?;
    let sources = sources(arguments, None, None).await?;
    let app = App::assemble(sources, configuration)?;
    let face = app.face();
    let running = app.start();
    let stop = told_to_stop()?;
    let stdin = mcp::stdio::stdin().context("stdin cannot be read")?;
    let served = mcp::stdio::serve(Caller::process(), face, stdin, tokio::io::stdout(), stop).await;
    running.shutdown().await?;
    served.context("the client on stdin did not get through its handshake")
}

/// `up` is called with the address that is served, once both sockets are open.
pub(super) async fn over_http(
    arguments: ServeArgs,
    address: SocketAddr,
    up: impl FnOnce(SocketAddr) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let flags = arguments.door.clone();
    let mut configuration = Configuration::read(arguments.config.as_deref())?;
    let door = door::door(&flags, address, std::mem::take(&mut configuration.identity))?;
    let listener = bind(address, "--http").await?;
    let health = bind(health_address(&flags, address)?, "--health").await?;
    let health_port = health.local_addr()?.port();
    let sources = sources(arguments, door.cursor_key, Some(health_port)).await?;
    let auth = door.auth(sources.live, sources.cluster.as_ref())?;
    let namespace = sources.cluster.as_ref().ok().filter(|cluster| cluster.in_cluster);
    let admission = door::admission(&flags, namespace.map(|cluster| cluster.namespace.as_str()))?;
    let app = App::assemble(sources, configuration)?;
    let router = app.router(HttpSettings { admission, auth, ..HttpSettings::default() });
    let health_router = app.health();
    let lingering = app.lingering();
    let running = app.start();
    let stop = told_to_stop()?;
    let address = listener.local_addr()?;
    tracing::info!(%address, health = %health.local_addr()?, "serving /mcp and /sse");
    up(address)?;

    let closed = CancellationToken::new();
    let health = tokio::spawn(mcp::listener::serve(health, health_router, closed.clone()));
    let serving = tokio::spawn(mcp::listener::serve(listener, router, stop.clone()));
    stop.cancelled().await;
    tracing::info!("told to stop: open requests may finish");
    let ended = shutdown(running, serving).await;
    tokio::time::sleep(lingering).await;
    // Asked for its health until the end.
    closed.cancel();
    finish(health).await.context("the health port")?;
    ended
}

async fn shutdown(running: Running, serving: JoinHandle<std::io::Result<()>>) -> anyhow::Result<()> {
    running.shutdown().await?;
    finish(serving).await.context("the port of --http")
}

/// Every stream has ended by now; a client that keeps a silent connection open does not hold us.
async fn finish(serving: JoinHandle<std::io::Result<()>>) -> anyhow::Result<()> {
    match tokio::time::timeout(Duration::from_secs(2), serving).await {
        Ok(served) => served.context("serving")?.context("accepting connections"),
        Err(_) => Ok(()),
    }
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be served: choose another address with {flag}"))
}

fn health_address(door: &DoorArgs, http: SocketAddr) -> anyhow::Result<SocketAddr> {
    if let Some(address) = door.health {
        return Ok(address);
    }
    // Port 0 means any free port, for health too.
    let port = if http.port() == 0 { Some(0) } else { http.port().checked_add(1) };
    let port = port.ok_or_else(|| anyhow!("there is no port after {}: give --health ADDR", http.port()))?;
    Ok(SocketAddr::new(http.ip(), port))
}

/// Turns the command line into what the process works on. Over stdio there is no health port.
async fn sources(
    arguments: ServeArgs,
    cursor_key: Option<[u8; 32]>,
    health_port: Option<u16>,
) -> anyhow::Result<Sources> {
    let ServeArgs {
        http: _,
        door: _,
        operator,
        lease_seconds,
        kubeconfig,
        context,
        snapshot,
        servers,
        data,
        audit_stderr,
        config: _,
        namespaces,
    } = arguments;
    // A health port is what serving over HTTP has.
    let audit_to_stderr = match audit_stderr {
        AuditStderr::Auto => health_port.is_some(),
        AuditStderr::On => true,
        AuditStderr::Off => false,
    };
    let data = data::folder(data)?;
    let live = snapshot.is_none();
    let cluster = match snapshot {
        Some(dir) => Ok(cluster::recorded::open(&dir)?),
        None => {
            // A cluster that was named must be there; without a word, the tools say that there is none.
            let named = kubeconfig.is_some() || context.is_some();
            match cluster::connect(&ConnectOptions { kubeconfig, context }).await {
                Ok(connection) => Ok(connection),
                Err(error) if named => return Err(error.into()),
                Err(error) => {
                    tracing::warn!("{error}");
                    Err(error.to_string())
                }
            }
        }
    };
    let operator = reconciling(operator, live, cluster.as_ref().ok(), health_port)?;
    let lease_timing = Timing::of_duration(Duration::from_secs(lease_seconds.into()));
    let operator = operator.map(|settings| OperatorSettings {
        namespaces: namespaces.clone(),
        lease_timing,
        ..settings
    });
    Ok(Sources { cluster, live, namespaces, servers, operator, data, audit_to_stderr, cursor_key })
}

/// The operator's settings when this process reconciles.
fn reconciling(
    wanted: Operator,
    live: bool,
    cluster: Option<&Connection>,
    health_port: Option<u16>,
) -> anyhow::Result<Option<OperatorSettings>> {
    let connection = match (wanted, cluster) {
        (Operator::Off, _) => return Ok(None),
        (Operator::Auto, Some(connection)) if live && connection.in_cluster => connection,
        (Operator::Auto, _) => return Ok(None),
        (Operator::On, Some(connection)) if live => connection,
        (Operator::On, _) => bail!("--operator on needs a live cluster: give a kubeconfig, or leave it out"),
    };
    // The pod's name alone could be its successor's, while this process still runs, cut off from the cluster.
    let holder = std::env::var("POD_NAME").unwrap_or_else(|_| std::process::id().to_string());
    let identity = format!("{holder}_{}", uuid::Uuid::new_v4().simple());
    let own_image = std::env::var("PILOTHOUSE_IMAGE").ok().filter(|image| !image.is_empty());
    let checks_loopback = !connection.in_cluster;
    let settings = OperatorSettings::new(identity, &connection.namespace);
    // The replicas are pods of the same set: all serve their health on the same port.
    let peers = match health_port {
        Some(port) if connection.in_cluster => Peers::Found { own_pod: holder, port },
        _ => Peers::Named(Vec::new()),
    };
    Ok(Some(OperatorSettings { own_image, checks_loopback, peers, ..settings }))
}

/// Cancelled by SIGTERM or SIGINT.
fn told_to_stop() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be heard")?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
