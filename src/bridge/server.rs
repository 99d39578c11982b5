//! The HTTP side: `/mcp` by the rules of Streamable HTTP up to 2025-11-25, and `/healthz`.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
    serve::ListenerExt,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{
    BridgeError,
    arguments::Serve,
    hosts::Hosts,
    modern::Modern,
    one_each, reply,
    sessions::Sessions,
    shared::{self, Shared},
};
use crate::gateway::wire::RpcError;

/// How long open connections may take to close after the processes have ended.
const LINGER: Duration = Duration::from_millis(500);

/// Serves until SIGTERM or SIGINT. One thread is enough for lines between pipes and sockets.
pub(super) fn run(serve: Serve, program: PathBuf) -> Result<ExitCode, BridgeError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BridgeError::Serve)?;
    runtime.block_on(listen(serve, program))
}

async fn listen(serve: Serve, program: PathBuf) -> Result<ExitCode, BridgeError> {
    let Serve { listen: address, hosts, limits, shared, command } = serve;
    let mut terminate = signal(SignalKind::terminate()).map_err(BridgeError::Serve)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(BridgeError::Serve)?;
    let listener =
        TcpListener::bind(address).await.map_err(|reason| BridgeError::Listen { address, reason })?;
    let address = listener.local_addr().unwrap_or(address);
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    });
    let stop = CancellationToken::new();
    let advice = if shared { shared::ADVICE } else { "initialize a new session" };
    let sessions = Sessions::new(program, command, limits, advice, stop.clone());
    tokio::spawn(Arc::clone(&sessions).watch_memory());
    let mcp = if shared {
        let shared = Arc::new(Shared::new(Arc::clone(&sessions), stop.clone()));
        tokio::spawn(Arc::clone(&shared).keep_warm());
        shared::router(shared)
    } else {
        let modern = Modern::new(Arc::clone(&sessions), stop.clone());
        one_each::router(Arc::clone(&sessions), modern)
    };
    let app = router(mcp, Arc::new(hosts));
    let server = tokio::spawn(
        axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned()).into_future(),
    );
    tracing::info!(%address, shared, "bridge listens");

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    sessions.stopped().await;
    if tokio::time::timeout(LINGER, server).await.is_err() {
        tracing::debug!("connections are cut");
    }
    Ok(ExitCode::SUCCESS)
}

fn router(mcp: Router, hosts: Arc<Hosts>) -> Router {
    mcp.layer(middleware::from_fn_with_state(hosts, check_host))
        // Below the check: the kubelet asks by the pod's address.
        .route("/healthz", get(|| async { "ok\n" }))
}

async fn check_host(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    match foreign(&hosts, request.uri(), request.headers()) {
        Some(message) => reply::error(StatusCode::FORBIDDEN, None, RpcError::INVALID_REQUEST, message),
        None => next.run(request).await,
    }
}

/// Why a request by these names is refused.
fn foreign(hosts: &Hosts, uri: &http::Uri, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = uri.authority().map(http::uri::Authority::as_str).or_else(|| text(header::HOST));
    if !host.is_some_and(|host| hosts.allows(host)) {
        return Some("this host name is not served here: add it with --allow-host");
    }
    let origin_refused = headers.contains_key(header::ORIGIN)
        && !text(header::ORIGIN).is_some_and(|origin| hosts.allows_origin(origin));
    origin_refused.then_some("requests from this origin are not served: add its host with --allow-host")
}
