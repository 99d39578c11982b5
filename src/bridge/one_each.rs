//! `/mcp` where each session has a process of its own.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRef, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::stream;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::value::RawValue;

use super::{
    exchange::Hears,
    incoming::{self, Posted, SESSION_HEADER, Sent},
    modern::Modern,
    reply,
    session::{Refused, Session, envelope},
    sessions::{Sessions, Starting},
    shared, streams,
};
use crate::gateway::wire::{RpcError, text::Head};

/// How long a server may take to answer `initialize`; some load a package first.
pub(super) const INITIALIZE_LIMIT: Duration = Duration::from_secs(120);

pub(super) fn router(sessions: Arc<Sessions>, modern: Modern) -> Router {
    let modern = Arc::new(modern);
    Router::new()
        .route("/mcp", get(open_stream).post(message).delete(end))
        .with_state(Both { sessions, modern })
}

#[derive(Clone)]
struct Both {
    sessions: Arc<Sessions>,
    /// For what comes without a session.
    modern: Arc<Modern>,
}

impl FromRef<Both> for Arc<Sessions> {
    fn from_ref(both: &Both) -> Self {
        Self::clone(&both.sessions)
    }
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
    match incoming::wants_stream(&headers).and_then(|()| find(&sessions, &headers, None)) {
        Ok(session) => streams::events(stream::unfold(session.listen(), async |mut listening| {
            let message = listening.next().await?;
            Some((message, listening))
        })),
        Err(refused) => *refused,
    }
}

/// POST: one message of the client.
async fn message(State(both): State<Both>, request: Request) -> Response {
    match handle(&both, request).await {
        Ok(response) => response,
        Err(refused) => *refused,
    }
}

async fn handle(Both { sessions, modern }: &Both, request: Request) -> Result<Response, Box<Response>> {
    let posted = Posted::read(request).await?;
    let headers = &posted.parts.headers;
    match posted.message()? {
        Sent::Request { id, head, text } if headers.contains_key(&SESSION_HEADER) => {
            let session = find(sessions, headers, Some(id))?;
            let hears = if posted.streams() { Hears::Everything } else { Hears::Nothing };
            match session.ask(id, &head, text, hears).await {
                Ok(asked) => Ok(streams::answer(asked.into_stream()).await),
                Err(refused) => Err(Box::new(refusal(&refused, Some(id)))),
            }
        }
        Sent::Request { id, head, text } if head.method.as_deref() == Some("initialize") => {
            Ok(initialize(sessions, modern, id, (&head, text)).await)
        }
        Sent::Request { id, head, text } => match modern.shared().await {
            Some(shared) => shared::answer(&shared, None, id, (&head, text), posted.streams()).await,
            None => Err(Box::new(incoming::initialize_first(id))),
        },
        Sent::Told { head, text } => {
            let session = find(sessions, headers, None)?;
            match session.tell(&head, text).await {
                Ok(()) => Ok(StatusCode::ACCEPTED.into_response()),
                Err(refused) => Err(Box::new(refusal(&refused, None))),
            }
        }
    }
}

/// Starts a session; it stays when the process answers with a result.
async fn initialize(
    sessions: &Arc<Sessions>,
    modern: &Modern,
    id: &RawValue,
    (head, text): (&Head<'_>, &str),
) -> Response {
    let starting = match sessions.start() {
        Ok(starting) => starting,
        Err(error) => {
            tracing::warn!(%error, "no session");
            return reply::error(error.status(), Some(id), RpcError::INTERNAL, &error.to_string());
        }
    };
    match tokio::time::timeout(INITIALIZE_LIMIT, answer(&starting.session, id, head, text)).await {
        Ok(Ok(Some(text))) => initialized(starting, modern, text),
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
    Ok(session.ask(id, head, text, Hears::Nothing).await?.next().await.map(|said| said.text))
}

fn initialized(starting: Starting, modern: &Modern, text: String) -> Response {
    let accepted = envelope(&text).is_ok_and(|head| head.result.is_some());
    if !accepted {
        modern.note_refusal();
    }
    let id = HeaderValue::from_str(&starting.session.id);
    let mut response = reply::json(text);
    if let (true, Ok(id)) = (accepted, id) {
        response.headers_mut().insert(SESSION_HEADER, id);
        starting.keep();
    }
    response
}

/// The session that the headers name, or the answer to a request without one.
fn find(
    sessions: &Sessions,
    headers: &HeaderMap,
    id: Option<&RawValue>,
) -> Result<Arc<Session>, Box<Response>> {
    let Some(name) = headers.get(&SESSION_HEADER) else {
        let message = "the header mcp-session-id is missing: send initialize first";
        let refused = reply::error(StatusCode::BAD_REQUEST, id, RpcError::INVALID_REQUEST, message);
        return Err(Box::new(refused));
    };
    let found = name.to_str().ok().and_then(|name| sessions.get(name));
    found.ok_or_else(|| Box::new(refusal(&Refused::Ended, id)))
}

/// The end of a session names no request: with its id it would pass for the server's own answer to it.
fn refusal(refused: &Refused, id: Option<&RawValue>) -> Response {
    let (status, id, message) = match refused {
        Refused::Ended => (StatusCode::NOT_FOUND, None, "this session has ended: initialize a new one"),
        Refused::IdInUse => (StatusCode::BAD_REQUEST, id, reply::ID_IN_USE),
    };
    reply::error(status, id, RpcError::INVALID_REQUEST, message)
}
