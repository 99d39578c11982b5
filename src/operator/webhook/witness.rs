//! Two further doors of the same listener, for whoever captures writes: `/witness` tells it what the API server is about
//! to store, and always allows; `/audit-events` takes the API server's own record of what it stored.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequest, Request, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use serde::Deserialize;
use serde_json::json;
use tower::limit::GlobalConcurrencyLimitLayer;

use super::LARGEST;

pub(super) const WITNESS: &str = "/witness";
const AUDIT_EVENTS: &str = "/audit-events";
/// Of a batch of the API server (400 events by default) with the objects in them.
const LARGEST_POST: usize = 16 * 1024 * 1024;
/// At once. Questions do not wait behind those of `/validate`, which look things up.
const QUESTIONS: usize = 64;
const POSTS: usize = 2;

/// Who is told; implemented in `app`.
pub trait Witness: Send + Sync {
    /// The API server asks before it stores. Must return at once.
    fn question(&self, body: Bytes);
    /// Whether whoever posts with this `Authorization` may.
    fn admits(&self, authorization: Option<&str>) -> Posted;
    /// Audit events of one who may. Must return at once.
    fn events(&self, body: Bytes) -> Posted;
}

/// What becomes of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    Taken,
    /// None are taken here.
    Closed,
    Refused,
    /// To be sent again in a while.
    Full,
}

pub(super) fn router(witness: Arc<dyn Witness>) -> Router {
    let questions = Router::new()
        .route(WITNESS, post(question))
        .with_state(witness.clone())
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(GlobalConcurrencyLimitLayer::new(QUESTIONS));
    let posts = Router::new()
        .route(AUDIT_EVENTS, post(events))
        .with_state(witness)
        .layer(DefaultBodyLimit::max(LARGEST_POST))
        .layer(GlobalConcurrencyLimitLayer::new(POSTS));
    questions.merge(posts)
}

/// Of a question only its id is needed for the answer.
#[derive(Deserialize)]
struct Review {
    request: Question,
}

#[derive(Deserialize)]
struct Question {
    uid: String,
}

/// Whatever is asked is allowed: this door listens.
async fn question(State(witness): State<Arc<dyn Witness>>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let Ok(Review { request: Question { uid } }) = serde_json::from_slice(&body) else {
        let said = "the body is no AdmissionReview with a request: only an API server asks here\n";
        return (StatusCode::BAD_REQUEST, said).into_response();
    };
    witness.question(body);
    Json(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": { "uid": uid, "allowed": true },
    }))
    .into_response()
}

async fn events(State(witness): State<Arc<dyn Witness>>, headers: HeaderMap, request: Request) -> Response {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    // Before the body is read: a stranger's is not.
    let admitted = witness.admits(authorization);
    if admitted != Posted::Taken {
        return answer(admitted);
    }
    match Bytes::from_request(request, &()).await {
        Ok(body) => answer(witness.events(body)),
        Err(error) => error.into_response(),
    }
}

fn answer(posted: Posted) -> Response {
    match posted {
        Posted::Taken => (StatusCode::OK, "taken\n"),
        Posted::Closed => {
            (StatusCode::NOT_FOUND, "no audit events are taken: set emergency.auditEvents.tokenFile\n")
        }
        Posted::Refused => (StatusCode::UNAUTHORIZED, "send the token of emergency.auditEvents as Bearer\n"),
        Posted::Full => (StatusCode::SERVICE_UNAVAILABLE, "too much is waiting: send it again in a while\n"),
    }
    .into_response()
}

#[cfg(test)]
#[path = "witness_tests.rs"]
mod tests;
