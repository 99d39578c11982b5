//! The HTTP side: `/mcp` by the rules of Streamable HTTP up to 2025-11-25, and `/healthz`.

use std::{convert::Infallible, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response, Sse, sse},
    routing::get,
    serve::ListenerExt,
};
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::LengthLimitError;
use serde_json::value::RawValue;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{
    BridgeError,
    arguments::Serve,
    hosts::Hosts,
    reply,
    session::{Asked, MESSAGE_LIMIT, Refused, Said, Session, envelope},
    sessions::{Sessions, StartError, Starting},
};
use crate::gateway::wire::{
    RpcError,
    text::{Head, Message},
};

/// How long a server may take to answer `initialize`; some load a package first.
const INITIALIZE_LIMIT: Duration = Duration::from_secs(120);
/// A comment on silent streams, so that a dead client is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long open connections may take to close after the processes have ended.
const LINGER: Duration = Duration::from_millis(500);
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const SESSION_HEADER: HeaderName = HeaderName::from_static(reply::SESSION);

/// Serves until SIGTERM or SIGINT. One thread is enough for lines between pipes and sockets.
pub(super) fn run(serve: Serve, program: PathBuf) -> Result<ExitCode, BridgeError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BridgeError::Serve)?;
    runtime.block_on(listen(serve, program))
}

async fn listen(serve: Serve, program: PathBuf) -> Result<ExitCode, BridgeError> {
    let Serve { listen: address, hosts, max_sessions, idle, command } = serve;
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
    let sessions = Sessions::new(program, command, idle, max_sessions, stop.clone());
    let app = router(Arc::clone(&sessions), Arc::new(hosts));
    let server = tokio::spawn(
        axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned()).into_future(),
    );
    tracing::info!(%address, "bridge listens");

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

fn router(sessions: Arc<Sessions>, hosts: Arc<Hosts>) -> Router {
    Router::new()
        .route("/mcp", get(open_stream).post(message).delete(end))
        .layer(middleware::from_fn_with_state(hosts, check_host))
        // Below the check: the kubelet asks by the pod's address.
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(sessions)
}

async fn check_host(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    match foreign(&hosts, request.uri(), request.headers()) {
        Some(message) => reply::error(StatusCode::FORBIDDEN, None, INVALID_REQUEST, message),
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

/// DELETE: the client needs the session no more.
async fn end(State(sessions): State<Arc<Sessions>>, headers: HeaderMap) -> Response {
    match find(&sessions, &headers, None) {
        Ok(session) => {
            session.ended.cancel();
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refused) => *refused,
    }
}

/// GET: what the server says of its own accord.
async fn open_stream(State(sessions): State<Arc<Sessions>>, headers: HeaderMap) -> Response {
    if !accepts(&headers, "text/event-stream") {
        let message = "this address answers GET with a stream: accept text/event-stream";
        return reply::error(StatusCode::NOT_ACCEPTABLE, None, INVALID_REQUEST, message);
    }
    match find(&sessions, &headers, None) {
        Ok(session) => sse(stream::unfold(session.listen(), async |mut listening| {
            let message = listening.next().await?;
            Some((event(&message), listening))
        })),
        Err(refused) => *refused,
    }
}

/// POST: one message of the client.
async fn message(State(sessions): State<Arc<Sessions>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        let message = "a message must be sent as application/json";
        return reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, INVALID_REQUEST, message);
    }
    let body = match axum::body::to_bytes(body, MESSAGE_LIMIT).await {
        Ok(body) => body,
        Err(error) => {
            let too_large =
                std::error::Error::source(&error).is_some_and(|cause| cause.is::<LengthLimitError>());
            let (status, message) = if too_large {
                (
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the message has more than {MESSAGE_LIMIT} bytes: send less"),
                )
            } else {
                (
                    StatusCode::BAD_REQUEST,
                    format!("the message did not arrive whole ({error}): send it again"),
                )
            };
            let mut refused = reply::error(status, None, INVALID_REQUEST, &message);
            // The rest of the body is not read, so nobody may use this connection again.
            refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return refused;
        }
    };
    let bad = |code, message: &str| reply::error(StatusCode::BAD_REQUEST, None, code, message);
    let Ok(text) = std::str::from_utf8(&body) else {
        return bad(PARSE_ERROR, "the message is not UTF-8");
    };
    let head = match envelope(text) {
        Ok(head) => head,
        Err(error) => return bad(PARSE_ERROR, &format!("the message is not one JSON-RPC object ({error})")),
    };
    match (head.message(), head.id) {
        (Some(Message::Request), Some(id)) if parts.headers.contains_key(&SESSION_HEADER) => {
            match find(&sessions, &parts.headers, Some(id)) {
                Ok(session) => {
                    ask(&session, id, &head, text, accepts(&parts.headers, "text/event-stream")).await
                }
                Err(refused) => *refused,
            }
        }
        (Some(Message::Request), Some(id)) if head.method.as_deref() == Some("initialize") => {
            initialize(&sessions, id, &head, text).await
        }
        (Some(Message::Request), Some(id)) => {
            // The answer to `server/discover`, too: an error of this code tells a client to initialize.
            let message =
                "there is no session: this server speaks MCP up to 2025-11-25, send initialize first";
            reply::error(StatusCode::BAD_REQUEST, Some(id), RpcError::METHOD_NOT_FOUND, message)
        }
        (Some(Message::Notification | Message::Response), _) => match find(&sessions, &parts.headers, None) {
            Ok(session) => match session.tell(&head, text).await {
                Ok(()) => StatusCode::ACCEPTED.into_response(),
                Err(refused) => refusal(&refused, None),
            },
            Err(refused) => *refused,
        },
        _ => bad(INVALID_REQUEST, "the message has neither a method nor an answer"),
    }
}

/// Starts a session; it stays when the process answers with a result.
async fn initialize(sessions: &Arc<Sessions>, id: &RawValue, head: &Head<'_>, text: &str) -> Response {
    let starting = match sessions.start() {
        Ok(starting) => starting,
        Err(error) => {
            tracing::warn!(%error, "no session");
            let status = match error {
                StartError::Full | StartError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
                StartError::Start(_) => StatusCode::BAD_GATEWAY,
            };
            return reply::error(status, Some(id), RpcError::INTERNAL, &error.to_string());
        }
    };
    match tokio::time::timeout(INITIALIZE_LIMIT, answer(&starting.session, id, head, text)).await {
        Ok(Ok(Some(text))) => initialized(starting, text),
        Ok(Ok(None)) => StatusCode::ACCEPTED.into_response(),
        Ok(Err(refused)) => refusal(&refused, Some(id)),
        Err(_) => {
            let message = format!("the server did not answer initialize in {} s", INITIALIZE_LIMIT.as_secs());
            reply::error(StatusCode::GATEWAY_TIMEOUT, Some(id), RpcError::INTERNAL, &message)
        }
    }
}

async fn answer(
    session: &Arc<Session>,
    id: &RawValue,
    head: &Head<'_>,
    text: &str,
) -> Result<Option<String>, Refused> {
    Ok(session.ask(id, head, text, false).await?.next().await.map(|said| said.text))
}

fn initialized(starting: Starting, text: String) -> Response {
    let accepted = envelope(&text).is_ok_and(|head| head.result.is_some());
    let id = HeaderValue::from_str(&starting.session.id);
    let mut response = reply::json(text);
    if let (true, Ok(id)) = (accepted, id) {
        response.headers_mut().insert(SESSION_HEADER, id);
        starting.keep();
    }
    response
}

/// The answer alone as JSON; as a stream when the server says something before it.
async fn ask(session: &Arc<Session>, id: &RawValue, head: &Head<'_>, text: &str, streams: bool) -> Response {
    let mut asked = match session.ask(id, head, text, streams).await {
        Ok(asked) => asked,
        Err(refused) => return refusal(&refused, Some(id)),
    };
    match asked.next().await {
        Some(Said { text, last: true }) => reply::json(text),
        Some(first) => sse(stream::unfold(Telling::First(first, asked), tell_on)),
        None => StatusCode::ACCEPTED.into_response(),
    }
}

/// How far the stream of one request is.
enum Telling {
    First(Said, Asked),
    Next(Asked),
    Over,
}

async fn tell_on(telling: Telling) -> Option<(Result<sse::Event, Infallible>, Telling)> {
    let (said, asked) = match telling {
        Telling::First(said, asked) => (said, asked),
        Telling::Next(mut asked) => (asked.next().await?, asked),
        Telling::Over => return None,
    };
    Some((event(&said.text), if said.last { Telling::Over } else { Telling::Next(asked) }))
}

fn event(text: &str) -> Result<sse::Event, Infallible> {
    Ok(sse::Event::default().data(text))
}

fn sse(events: impl stream::Stream<Item = Result<sse::Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(events).keep_alive(sse::KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// The session that the headers name, or the answer to a request without one.
fn find(
    sessions: &Sessions,
    headers: &HeaderMap,
    id: Option<&RawValue>,
) -> Result<Arc<Session>, Box<Response>> {
    let Some(name) = headers.get(&SESSION_HEADER) else {
        let message = "the header mcp-session-id is missing: send initialize first";
        return Err(Box::new(reply::error(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, message)));
    };
    let found = name.to_str().ok().and_then(|name| sessions.get(name));
    found.ok_or_else(|| Box::new(refusal(&Refused::Ended, id)))
}

/// The end of a session names no request: with its id it would pass for the server's own answer to it.
fn refusal(refused: &Refused, id: Option<&RawValue>) -> Response {
    let (status, id, message) = match refused {
        Refused::Ended => (StatusCode::NOT_FOUND, None, "this session has ended: initialize a new one"),
        Refused::IdInUse => (
            StatusCode::BAD_REQUEST,
            id,
            "a request with this id is still open in the session: use another id",
        ),
    };
    reply::error(status, id, INVALID_REQUEST, message)
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').filter_map(|part| part.split(';').next()).any(|part| {
            let part = part.trim().to_ascii_lowercase();
            part == kind || part == "*/*" || part == "text/*"
        })
    })
}
