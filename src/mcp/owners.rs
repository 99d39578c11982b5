//! Whose a legacy session is: rmcp would let in whoever knows its id.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode};
use moka::future::Cache;

use crate::caller::Caller;

const SESSION: &str = "mcp-session-id";

/// Sessions that are remembered at once.
const REMEMBERED: u64 = 100_000;

/// Who opened which session. Cheap to clone.
#[derive(Clone)]
pub(super) struct Owners(Cache<String, Caller>);

impl Owners {
    /// A session without a request for `idle` is over, and forgotten some time after.
    pub(super) fn new(idle: Duration) -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_idle(idle * 2).build())
    }
}

/// Remembers who opens a session, and lets nobody else follow its streams or end it.
pub(super) async fn only_the_owner(
    State(Owners(known)): State<Owners>,
    request: Request,
    next: Next,
) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the request came without its caller\n").into_response();
    };
    let Some(id) = session(request.headers()) else {
        let response = next.run(request).await;
        if let Some(opened) = session(response.headers()) {
            known.insert(opened, caller).await;
        }
        return response;
    };
    let owner = known.get(&id).await;
    match owner {
        Some(owner) if owner.is_the_same(&caller) => next.run(request).await,
        Some(owner) => {
            tracing::warn!(owner = owner.user, caller = caller.user, "a session was used by another caller");
            let why = "Forbidden: this session belongs to another caller: open your own with initialize\n";
            (StatusCode::FORBIDDEN, why).into_response()
        }
        // `session` looks at who posts; nobody would look at who listens.
        None if request.method() == Method::POST => next.run(request).await,
        None => {
            let why = "Not Found: this session is not open: begin with initialize\n";
            (StatusCode::NOT_FOUND, why).into_response()
        }
    }
}

fn session(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(SESSION)?.to_str().ok()?.to_owned())
}
