//! A request goes to the session it belongs to: here, at another replica, or made again. Nobody but its caller
//! gets to a session.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HOST},
    request::Parts,
};
use http_body_util::BodyExt;
use jiff::Timestamp;
use moka::future::Cache;
use rmcp::transport::streamable_http_server::session::SessionStore;
use tokio_util::sync::CancellationToken;

use super::{
    Forwarded, Keeper, Received, Sessions, Ticket,
    answers::{lost, misdirected, not_open, not_taken, refused, whole},
    calls::{Calls, OpenCall},
    store::Handover,
};
use crate::{
    caller::Caller,
    gateway::wire::{
        body::{self, Patience},
        headers::are_modern,
    },
    mcp::turned_away::TurnedAway,
};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// Sessions whose place is remembered at once.
const REMEMBERED: u64 = 100_000;

/// Cheap to clone.
#[derive(Clone)]
pub(in crate::mcp) struct Home(Arc<Rooms>);

struct Rooms {
    sessions: Sessions,
    handover: Arc<Handover>,
    calls: Calls,
    /// Sessions of replicas that are gone, made again here.
    made: Cache<String, ()>,
    /// Which other replica has made a session again whose owner is gone.
    moved: Cache<String, String>,
    /// Sessions that their clients have ended: they are not made again.
    ended: Cache<String, ()>,
    /// Cancelled when this process is to end.
    leaving: CancellationToken,
    /// Longest request body in bytes, and how long it may take.
    body: (usize, Patience),
}

impl Home {
    /// A session without a request for `idle` is over.
    pub(in crate::mcp) fn new(
        sessions: Sessions,
        leaving: CancellationToken,
        idle: Duration,
        body: (usize, Patience),
    ) -> Self {
        Self(Arc::new(Rooms {
            sessions,
            handover: Arc::default(),
            calls: Calls::default(),
            made: remembered(idle * 2),
            moved: remembered(idle * 2),
            ended: remembered(idle * 2),
            leaving,
            body,
        }))
    }

    /// For rmcp.
    pub(in crate::mcp) fn handover(&self) -> Arc<dyn SessionStore> {
        self.0.handover.clone()
    }

    /// Whether that session was made again here.
    pub(in crate::mcp) fn has_made(&self, session: &str) -> bool {
        self.0.made.contains_key(session)
    }

    pub(in crate::mcp) fn is_leaving(&self) -> bool {
        self.0.leaving.is_cancelled()
    }
}

/// Gives sessions their names, and brings requests to them.
pub(in crate::mcp) async fn at_home(
    State(Home(home)): State<Home>,
    request: Request,
    next: Next,
) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "the request came without its caller");
    };
    // There are no sessions in the modern era.
    let id = session(request.headers()).filter(|_| !are_modern(request.headers()));
    let Some(id) = id else {
        return match home.at_holder(&caller, request).await {
            Went::There(answer) => answer,
            Went::Nowhere(request) => home.named(&caller, next.run(request).await),
        };
    };
    let Some(ticket) = home.sessions.open(&id, &caller) else {
        return TurnedAway::from_session(caller).with(not_open());
    };
    let received = request.extensions().get::<Received>().copied();
    // One that is being made again is not ready yet.
    if home.sessions.is_here(&ticket) || home.made.get(&ticket.session).await.is_some() {
        return home.serve(&ticket, received, request, next).await;
    }
    match received {
        None => home.send(&ticket, &caller, request, next).await,
        Some(Received { adopt: false }) => misdirected(),
        Some(Received { adopt: true }) => home.make_again(&ticket, request, next).await,
    }
}

impl Rooms {
    /// To the replica that holds the call open which a modern request goes on with. Whoever does not find it says so.
    async fn at_holder(&self, caller: &Caller, request: Request) -> Went {
        let is_asked = request.method() == Method::POST && request.extensions().get::<Received>().is_none();
        if !is_asked || self.sessions.elsewhere.is_alone() {
            return Went::Nowhere(request);
        }
        let (parts, body) = request.into_parts();
        let (limit, patience) = self.body;
        let body = match collected(body, limit, patience).await {
            Ok(body) => body,
            Err(refusal) => return Went::There(*refusal),
        };
        if let Some(holder) = self.sessions.holder(&body)
            && let Some(answer) = self.answer_of(&holder, caller, (&parts, &body), false).await
        {
            return Went::There(answer);
        }
        Went::Nowhere(Request::from_parts(parts, Body::from(body)))
    }

    /// A session that was just opened gets its name.
    fn named(&self, caller: &Caller, mut response: Response) -> Response {
        let Some(opened) = session(response.headers()) else { return response };
        let hello = self.handover.opened(&opened);
        let name = self.sessions.name(&opened, caller, hello.as_ref());
        match name.map(HeaderValue::try_from) {
            Ok(Ok(name)) => {
                response.headers_mut().insert(SESSION, name);
                response
            }
            Ok(Err(_)) | Err(_) => {
                refused(StatusCode::INTERNAL_SERVER_ERROR, "the system gave no random bytes for a session")
            }
        }
    }

    async fn serve(
        &self,
        ticket: &Ticket,
        received: Option<Received>,
        mut request: Request,
        next: Next,
    ) -> Response {
        let session = &ticket.session;
        // What begins now would be cut off. What belongs to an open call must still find it.
        if received.is_some() && self.leaving.is_cancelled() && !self.calls.has_any(session) {
            return misdirected();
        }
        let Ok(name) = HeaderValue::from_str(session) else { return not_open() };
        request.headers_mut().insert(SESSION, name);
        match *request.method() {
            Method::DELETE => {
                self.ended.insert(session.clone(), ()).await;
                next.run(request).await
            }
            Method::POST => {
                let call = self.calls.begin(session);
                until_it_left(call, next.run(request).await)
            }
            _ => next.run(request).await,
        }
    }

    /// As if the client had just opened it here. What it subscribed to is not known: `session` tells it.
    async fn make_again(&self, ticket: &Ticket, mut request: Request, next: Next) -> Response {
        let hello = ticket.hello(Timestamp::now());
        let hello = hello.filter(|_| request.method() != Method::DELETE);
        let Some(hello) = hello else { return not_open() };
        let session = &ticket.session;
        if self.ended.contains_key(session) {
            return not_open();
        }
        let Ok(first) = first_request(session, &request) else { return not_open() };
        let making = async {
            tracing::info!(
                owner = ticket.owner,
                "the replica of a session is gone: the session goes on here"
            );
            self.handover.expect(session, hello);
            let response = next.clone().run(first).await;
            if response.status().is_success() { Ok(()) } else { Err(response.status()) }
        };
        // All requests that come meanwhile wait for the one that makes it.
        if let Err(status) = self.made.try_get_with(session.clone(), making).await {
            tracing::warn!(%status, "a session could not be made again");
            return not_open();
        }
        // Numbers of events are the owner's.
        request.headers_mut().remove(LAST_EVENT);
        self.serve(ticket, None, request, next).await
    }

    /// To the replica that has the session.
    async fn send(&self, ticket: &Ticket, caller: &Caller, request: Request, next: Next) -> Response {
        let (parts, body) = request.into_parts();
        let (limit, patience) = self.body;
        let body = match collected(body, limit, patience).await {
            Ok(body) => body,
            Err(refusal) => return *refusal,
        };
        let session = &ticket.session;
        let known = self.moved.get(session).await;
        let first = known.as_ref().unwrap_or(&ticket.owner);
        if let Some(answer) = self.answer_of(first, caller, (&parts, &body), false).await {
            return answer;
        }
        let elsewhere = &self.sessions.elsewhere;
        let leaving = self.leaving.is_cancelled();
        if let Keeper::At(other) = elsewhere.keeper(session, &ticket.owner, leaving).await
            && let Some(answer) = self.answer_of(&other, caller, (&parts, &body), true).await
        {
            self.moved.insert(session.clone(), other).await;
            return answer;
        }
        self.moved.invalidate(session).await;
        self.make_again(ticket, Request::from_parts(parts, Body::from(body)), next).await
    }

    /// Nothing when that replica is gone.
    async fn answer_of(
        &self,
        replica: &str,
        caller: &Caller,
        (parts, body): (&Parts, &Bytes),
        adopt: bool,
    ) -> Option<Response> {
        match self.sessions.pass_on(replica, caller, parts, body, adopt).await {
            Forwarded::Answered(answer) => Some(whole(answer, body.clone())),
            Forwarded::Lost(why) => Some(lost(body, &why)),
            Forwarded::Gone => None,
        }
    }
}

enum Went {
    There(Response),
    /// It stays here.
    Nowhere(Request),
}

/// A message that changes nothing: rmcp makes a session again with the first request that it does not know.
fn first_request(session: &str, asked: &Request) -> http::Result<Request> {
    const MESSAGE: &str = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
    let request = Request::builder()
        .method(Method::POST)
        .uri(asked.uri().path())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream")
        .header(HOST, "localhost")
        .header(SESSION, session);
    let mut request = request.body(Body::from(MESSAGE))?;
    *request.extensions_mut() = asked.extensions().clone();
    Ok(request)
}

fn remembered<T: Clone + Send + Sync + 'static>(unused: Duration) -> Cache<String, T> {
    Cache::builder().max_capacity(REMEMBERED).time_to_idle(unused).build()
}

fn until_it_left(call: OpenCall, response: Response) -> Response {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _open = &call;
            frame
        }))
    })
}

fn session(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(SESSION)?.to_str().ok()?.to_owned())
}

/// # Errors
/// The answer, when the body is too long or does not come.
pub(in crate::mcp) async fn collected(
    body: Body,
    limit: usize,
    patience: Patience,
) -> Result<Bytes, Box<Response>> {
    body::whole(body, limit, patience)
        .await
        .map_err(|unread| Box::new(not_taken(unread.status(), unread.reason(), &unread.to_string())))
}
