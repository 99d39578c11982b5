//! HTTP+SSE (2024-11-05) for clients that know nothing newer: `GET /sse` opens a stream of answers, requests
//! come as `POST /messages?sessionId=…`. Behind it is the line transport over a pipe in memory.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::{Query, RawQuery, Request, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures::{Stream, StreamExt, stream};
use http::StatusCode;
use rmcp::{RoleServer, service::serve_server_with_ct};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::watch,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    KEEP_ALIVE,
    face::Face,
    session::{Revisions, Session, Who},
    sessions::{Forwarded, Received, Sessions, collected, not_taken},
    turned_away::TurnedAway,
};
use crate::{
    caller::Caller,
    gateway::wire::{
        body::Patience,
        intake::{self, Malformed},
        lines::{Lines, Pen},
        rejected::Reason,
    },
};

/// Bytes that wait in the pipe in each direction.
const PIPE: usize = 64 * 1024;

#[derive(Clone)]
pub(super) struct SseSessions(Arc<Shared>);

struct Shared {
    face: Arc<Face>,
    sessions: Sessions,
    body: (usize, Patience),
    idle: Duration,
    open: Mutex<HashMap<String, Open>>,
}

/// One open stream, as the POST side sees it.
#[derive(Clone)]
struct Open {
    pen: Pen,
    last: watch::Sender<Instant>,
}

impl SseSessions {
    /// A session without a message for `idle` is ended.
    pub(super) fn new(face: Arc<Face>, sessions: Sessions, body: (usize, Patience), idle: Duration) -> Self {
        Self(Arc::new(Shared { face, sessions, body, idle, open: Mutex::default() }))
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn router(sessions: SseSessions) -> Router {
    Router::new().route("/sse", get(open)).route("/messages", post(message)).with_state(sessions)
}

/// Ends the session when the response body is dropped: the client is gone.
struct Guard {
    shared: Arc<Shared>,
    id: String,
    ended: CancellationToken,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.table().remove(&self.id);
        self.ended.cancel();
    }
}

async fn open(
    State(SseSessions(shared)): State<SseSessions>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, (StatusCode, String)> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let address = shared.sessions.name(&id, &caller, None).map_err(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("no session can be opened: {error}\n"))
    })?;
    let ended = shared.face.stopped().child_token();
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let (reader, writer) = tokio::io::split(theirs);
    let session = Session::new(shared.face.clone(), Who::Fixed(caller.clone()), Revisions::Legacy)
        .at_url(query.as_deref());
    let lines = Lines::<RoleServer, _>::carrying(reader, writer).with_limit(usize::MAX);
    tokio::spawn(run(session, lines, ended.clone()));

    let (answers, requests) = tokio::io::split(ours);
    let (pen, _) = Pen::over(requests);
    let (last, seen) = watch::channel(Instant::now());
    tokio::spawn(end_when_idle(seen, shared.idle, ended.clone()));
    shared.table().insert(id.clone(), Open { pen, last });

    let endpoint = Event::default().event("endpoint").data(format!("/messages?sessionId={address}"));
    let guard = Guard { shared, id, ended: ended.clone() };
    let answers = stream::unfold((BufReader::new(answers).lines(), guard), |(mut lines, guard)| async {
        let line = lines.next_line().await.ok().flatten()?;
        Some((Ok(Event::default().event("message").data(line)), (lines, guard)))
    });
    let events = stream::once(async { Ok(endpoint) }).chain(answers).take_until(ended.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

async fn run(
    session: Session,
    lines: Lines<RoleServer, impl tokio::io::AsyncRead + Send + Unpin + 'static>,
    ended: CancellationToken,
) {
    match serve_server_with_ct(session, lines, ended.clone()).await {
        Ok(running) => {
            if let Err(error) = running.waiting().await {
                tracing::warn!(%error, "an SSE session ended badly");
            }
        }
        Err(error) => tracing::debug!(%error, "an SSE session did not get through its handshake"),
    }
    ended.cancel();
}

async fn end_when_idle(mut seen: watch::Receiver<Instant>, idle: Duration, ended: CancellationToken) {
    loop {
        let due = *seen.borrow_and_update() + idle;
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep_until(due) => {
                tracing::debug!("an SSE session was idle for too long and ends");
                ended.cancel();
                return;
            }
            changed = seen.changed() => if changed.is_err() { return },
        }
    }
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "sessionId", alias = "session_id")]
    session: String,
}

fn not_open() -> Response {
    let why = "this session is not open: begin with GET /sse";
    not_taken(StatusCode::NOT_FOUND, Reason::Session, why)
}

async fn message(
    State(SseSessions(shared)): State<SseSessions>,
    Extension(caller): Extension<Caller>,
    Query(Address { session }): Query<Address>,
    request: Request,
) -> Response {
    let Some(ticket) = shared.sessions.open(&session, &caller) else {
        return TurnedAway::from_session(caller).with(not_open());
    };
    let (parts, body) = request.into_parts();
    let (limit, patience) = shared.body;
    let body = match collected(body, limit, patience).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    // The stream is at the replica that opened it, and ends with it.
    if !shared.sessions.is_here(&ticket) && parts.extensions.get::<Received>().is_none() {
        return match shared.sessions.pass_on(&ticket.owner, &caller, &parts, &body, false).await {
            Forwarded::Answered(answer) => answer,
            Forwarded::Gone | Forwarded::Lost(_) => not_open(),
        };
    }
    let open = shared.table().get(&ticket.session).cloned();
    let Some(open) = open else { return not_open() };
    let text = std::str::from_utf8(&body).map_err(|_| Malformed::not_text());
    let text = match text.and_then(|text| intake::read(text).map(|_| text)) {
        Ok(text) => text,
        Err(Malformed { reason, message, .. }) => {
            return not_taken(StatusCode::BAD_REQUEST, reason, &message);
        }
    };
    open.last.send_replace(Instant::now());
    // Line breaks between tokens are legal here and not in a line.
    if open.pen.write(text.replace(['\n', '\r'], " ")).await.is_err() {
        return not_open();
    }
    (StatusCode::ACCEPTED, "Accepted").into_response()
}
