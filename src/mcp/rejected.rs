//! Requests over HTTP that were not taken are counted by why: as the refusal itself says, or as its status does.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};

use crate::gateway::wire::rejected::{Reason, Rejections};

/// What the answer says, when nobody said more. Whom authentication turns away is on record elsewhere.
fn by(status: StatusCode, headers: &HeaderMap) -> Option<Reason> {
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::NOT_ACCEPTABLE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE => Some(Reason::Headers),
        StatusCode::PAYLOAD_TOO_LARGE => Some(Reason::TooLarge),
        StatusCode::REQUEST_TIMEOUT => Some(Reason::Unfinished),
        // With an error of JSON-RPC it is a method that is not there, which is no fault of the message.
        StatusCode::NOT_FOUND if !headers.contains_key(CONTENT_TYPE) => Some(Reason::Session),
        _ => None,
    }
}

pub(super) async fn count(
    State(rejections): State<Arc<Rejections>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let said = response.extensions_mut().remove::<Reason>();
    if let Some(reason) = said.or_else(|| by(response.status(), response.headers())) {
        rejections.count(reason);
    }
    response
}
