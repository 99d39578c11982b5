//! What a door answers with 401 or 403 is on record, with who and why as far as the door knows it.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::StatusCode;

use crate::{
    audit::{Audit, Refusal},
    caller::Caller,
};

/// Rides in the extensions of the answer that turns somebody away.
#[derive(Clone, Debug)]
pub(super) struct TurnedAway {
    /// A word by which refusals are counted.
    pub(super) reason: &'static str,
    pub(super) why: String,
    /// As far as it was proven.
    pub(super) caller: Option<Caller>,
}

impl TurnedAway {
    /// With `response`, which says so to whom it concerns.
    pub(super) fn with(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }

    /// From a session that is another caller's, or of which nothing is known.
    pub(super) fn from_session(caller: Caller) -> Self {
        let why = "the session is none of this caller's".to_owned();
        Self { reason: "foreign-session", why, caller: Some(caller) }
    }

    /// At `door`, to whoever is at the other end, as far as that is known.
    pub(super) fn at(self, door: &str, peer: Option<IpAddr>) -> Refusal {
        let Self { reason, why, caller } = self;
        Refusal { door: door.to_owned(), reason, why, caller, peer }
    }

    /// What the answer itself says, when nobody said more.
    fn by(status: StatusCode) -> Option<Self> {
        let reason = match status {
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN => "forbidden",
            _ => return None,
        };
        Some(Self { reason, why: String::new(), caller: None })
    }
}

/// Every refusal of `router` is recorded.
pub fn recorded(router: Router, audit: Audit) -> Router {
    router.layer(middleware::from_fn_with_state(audit, record))
}

async fn record(State(audit): State<Audit>, request: Request, next: Next) -> Response {
    // Of a path that no route has, nothing is kept: whoever knocks chooses it.
    let door = request.extensions().get::<MatchedPath>().cloned();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let mut response = next.run(request).await;
    let turned_away = response.extensions_mut().remove::<TurnedAway>();
    if let Some(turned_away) = turned_away.or_else(|| TurnedAway::by(response.status())) {
        audit.refused(turned_away.at(door.as_ref().map_or("elsewhere", MatchedPath::as_str), peer));
    }
    response
}
