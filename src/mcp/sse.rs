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
    body::Body,
    extract::{Query, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures::{Stream, StreamExt, stream};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
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
};
use crate::{
    caller::Caller,
    gateway::wire::{
        lines::{Lines, Pen},
        text::Head,
    },
};

/// Bytes that wait in the pipe in each direction.
const PIPE: usize = 64 * 1024;

#[derive(Clone)]
pub(super) struct SseSessions(Arc<Shared>);

struct Shared {
    face: Arc<Face>,
    body_limit: usize,
    idle: Duration,
    open: Mutex<HashMap<String, Open>>,
}

/// One open stream, as the POST side sees it.
#[derive(Clone)]
struct Open {
    caller: Caller,
    pen: Pen,
    last: watch::Sender<Instant>,
}

impl SseSessions {
    /// A session without a message for `idle` is ended.
    pub(super) fn new(face: Arc<Face>, body_limit: usize, idle: Duration) -> Self {
        Self(Arc::new(Shared { face, body_limit, idle, open: Mutex::default() }))
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
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let ended = shared.face.stopped().child_token();
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let (reader, writer) = tokio::io::split(theirs);
    let session = Session::new(shared.face.clone(), Who::Fixed(caller.clone()), Revisions::Legacy);
    let lines = Lines::<RoleServer, _>::carrying(reader, writer).with_limit(usize::MAX);
    tokio::spawn(run(session, lines, ended.clone()));

    let (answers, requests) = tokio::io::split(ours);
    let (pen, _) = Pen::over(requests);
    let (last, seen) = watch::channel(Instant::now());
    tokio::spawn(end_when_idle(seen, shared.idle, ended.clone()));
    shared.table().insert(id.clone(), Open { caller, pen, last });

    let endpoint = Event::default().event("endpoint").data(format!("/messages?sessionId={id}"));
    let guard = Guard { shared, id, ended: ended.clone() };
    let answers = stream::unfold((BufReader::new(answers).lines(), guard), |(mut lines, guard)| async {
        let line = lines.next_line().await.ok().flatten()?;
        Some((Ok(Event::default().event("message").data(line)), (lines, guard)))
    });
    let events = stream::once(async { Ok(endpoint) }).chain(answers).take_until(ended.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
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

async fn message(
    State(SseSessions(shared)): State<SseSessions>,
    Extension(caller): Extension<Caller>,
    Query(Address { session }): Query<Address>,
    body: Body,
) -> Response {
    let refused = |status: StatusCode, why: &str| (status, format!("{why}\n")).into_response();
    let open = shared.table().get(&session).cloned();
    let Some(open) = open else {
        return refused(StatusCode::NOT_FOUND, "this session is not open: begin with GET /sse");
    };
    if !open.caller.is_the_same(&caller) {
        return refused(StatusCode::FORBIDDEN, "this session belongs to another caller: begin with GET /sse");
    }
    let body = match Limited::new(body, shared.body_limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let why = format!("the message is longer than {} bytes", shared.body_limit);
            return refused(StatusCode::PAYLOAD_TOO_LARGE, &why);
        }
        Err(error) => return refused(StatusCode::BAD_REQUEST, &format!("the body cannot be read: {error}")),
    };
    let Ok(text) = std::str::from_utf8(&body) else {
        return refused(StatusCode::BAD_REQUEST, "the body is not UTF-8");
    };
    match Head::parse(text) {
        Ok(head) if head.message().is_some() => {}
        Ok(_) => return refused(StatusCode::BAD_REQUEST, "the body is JSON but not a JSON-RPC message"),
        Err(error) => {
            return refused(StatusCode::BAD_REQUEST, &format!("the body is not a JSON-RPC message: {error}"));
        }
    }
    open.last.send_replace(Instant::now());
    // Line breaks between tokens are legal here and not in a line.
    if open.pen.write(text.replace(['\n', '\r'], " ")).await.is_err() {
        return refused(StatusCode::NOT_FOUND, "this session has ended: begin with GET /sse");
    }
    (StatusCode::ACCEPTED, "Accepted").into_response()
}
