//! `/mcp` where all clients share one process.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::stream;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::value::RawValue;
use tokio::sync::broadcast::error::RecvError;

use super::{NotAsked, Shared, process::Cold};
use crate::bridge::{
    incoming::{self, Posted, SESSION_HEADER, Sent},
    reply, streams,
};
use crate::gateway::wire::{RpcError, headers::PROTOCOL_VERSION, text::Head};

/// From here on there is no handshake, but also no session to answer in.
const MODERN: &str = "2026";

/// Its messages name the request by its id, which is exchanged here.
const LISTEN: &str = "subscriptions/listen";

pub(in crate::bridge) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/mcp", get(open_stream).post(message).delete(end)).with_state(shared)
}

/// DELETE: nothing is kept for a client, so nothing is to be ended.
async fn end() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// GET: what the server says to all.
async fn open_stream(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Err(refused) = incoming::wants_stream(&headers) {
        return *refused;
    }
    let heard = shared.said.subscribe();
    let stop = shared.stop.clone();
    streams::events(stream::unfold((heard, stop), |(mut heard, stop)| async move {
        loop {
            match stop.run_until_cancelled(heard.recv()).await? {
                Ok(text) => return Some((text, (heard, stop))),
                Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "a client does not read its stream"),
                Err(RecvError::Closed) => return None,
            }
        }
    }))
}

/// POST: one message of a client.
async fn message(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match handle(&shared, request).await {
        Ok(response) => response,
        Err(refused) => *refused,
    }
}

async fn handle(shared: &Arc<Shared>, request: Request) -> Result<Response, Box<Response>> {
    let posted = Posted::read(request).await?;
    let headers = &posted.parts.headers;
    let client = headers.get(&SESSION_HEADER).and_then(|value| value.to_str().ok());
    match posted.message()? {
        Sent::Request { id, head, text } => match head.method.as_deref() {
            Some("initialize") => initialize(shared, id).await,
            method if is_modern(headers) || method == Some("server/discover") => {
                match shared.is_modern().await {
                    Ok(true) => answer(shared, client, id, (&head, text), posted.streams()).await,
                    Ok(false) => Err(Box::new(incoming::initialize_first(id))),
                    Err(cold) => Err(Box::new(refusal(id, &NotAsked::Cold(cold)))),
                }
            }
            _ => answer(shared, client, id, (&head, text), posted.streams()).await,
        },
        Sent::Told { head, text } => {
            shared.tell(client, &head, text).await;
            Ok(StatusCode::ACCEPTED.into_response())
        }
    }
}

/// What the process answers to a request.
pub(in crate::bridge) async fn answer(
    shared: &Arc<Shared>,
    client: Option<&str>,
    id: &RawValue,
    (head, text): (&Head<'_>, &str),
    streams: bool,
) -> Result<Response, Box<Response>> {
    if head.method.as_deref() == Some(LISTEN) {
        let message = "this server is shared by its clients, and its changes are not told: list again";
        let status = StatusCode::NOT_FOUND;
        return Err(Box::new(reply::error(status, Some(id), RpcError::METHOD_NOT_FOUND, message)));
    }
    match shared.ask(client, id, head, text, streams).await {
        Ok(said) => Ok(streams::answer(said).await),
        Err(why) => Err(Box::new(refusal(id, &why))),
    }
}

/// What the process answered to ours, under an id that nothing is kept under.
async fn initialize(shared: &Shared, id: &RawValue) -> Result<Response, Box<Response>> {
    let process = shared.process().await.map_err(|cold| Box::new(refusal(id, &NotAsked::Cold(cold))))?;
    let Some(greeting) = process.greeting else {
        let message = "this server speaks MCP from 2026-07-28 on, without initialize: send server/discover";
        let status = StatusCode::BAD_REQUEST;
        return Err(Box::new(reply::error(status, Some(id), RpcError::METHOD_NOT_FOUND, message)));
    };
    let mut response = reply::json(reply::result_text(id, greeting));
    if let Ok(session) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        response.headers_mut().insert(SESSION_HEADER, session);
    }
    Ok(response)
}

fn is_modern(headers: &HeaderMap) -> bool {
    headers.get(PROTOCOL_VERSION).and_then(|value| value.to_str().ok()).is_some_and(|said| said >= MODERN)
}

fn refusal(id: &RawValue, why: &NotAsked) -> Response {
    match why {
        NotAsked::Cold(cold) => {
            let status = match cold {
                Cold::Start(error) => error.status(),
                Cold::Silent => StatusCode::GATEWAY_TIMEOUT,
                Cold::Refused(_) | Cold::Ended | Cold::AsBefore(_) => StatusCode::BAD_GATEWAY,
            };
            reply::error(status, Some(id), RpcError::INTERNAL, &cold.to_string())
        }
        NotAsked::IdInUse => {
            reply::error(StatusCode::BAD_REQUEST, Some(id), RpcError::INVALID_REQUEST, reply::ID_IN_USE)
        }
        NotAsked::Params(error) => {
            let message = format!("params and their _meta must be objects ({error})");
            reply::error(StatusCode::BAD_REQUEST, Some(id), RpcError::INVALID_PARAMS, &message)
        }
    }
}
