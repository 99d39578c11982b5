//! Calls over Streamable HTTP: a POST of our own, answered by one JSON document or a stream of events.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use reqwest::Response;
use tokio::sync::Semaphore;
use url::Url;

use super::{
    Fault, LARGEST,
    ear::{News, Teller},
    stream::Pace,
};
use crate::gateway::wire::{
    Era, RpcError,
    events::{Event, EventError, Events},
    rejected::Reason,
    table::{Table, Taken},
    text::{Fields, Head, Message},
};

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// Large answers of one server that are read at once.
const LARGE_AT_ONCE: usize = 4;

/// Answers up to this size are not large.
pub(super) const SMALL: usize = 1024 * 1024;

/// Cancellations and answers to questions must not pile up behind a server that does not take them.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// How often a legacy server may close an answer's stream and have us come back for the rest.
const RESUMES: usize = 20;

/// Reading on after the answer keeps the connection for the next call.
const DRAIN_WITHIN: Duration = Duration::from_secs(1);

/// What every request of one connection is made of. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct HttpWay {
    pub(super) http: reqwest::Client,
    pub(super) url: Url,
    /// Host, the user's own headers, and the negotiated version.
    pub(super) headers: HeaderMap,
    pub(super) session: Option<Arc<str>>,
    pub(super) era: Era,
    /// Turns for reading large answers, of all connections to this server that clients share.
    pub(super) large: Arc<Semaphore>,
}

pub(super) fn turns_for_large() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LARGE_AT_ONCE))
}

impl HttpWay {
    fn request(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let request =
            request.headers(self.headers.clone()).header(ACCEPT, "application/json, text/event-stream");
        match &self.session {
            Some(session) => request.header(SESSION, session.as_ref()),
            None => request,
        }
    }

    /// Sends the request of the open call `token` and passes what comes back to `table`.
    pub(super) async fn post(
        &self,
        table: &Arc<Table>,
        teller: &Teller,
        token: &str,
        headers: HeaderMap,
        text: String,
    ) -> Result<(), Fault> {
        let response = self.send(headers, text).await?;
        self.receive(table, teller, token, response).await
    }

    /// Sends one message.
    pub(super) async fn send(&self, headers: HeaderMap, text: String) -> Result<Response, Fault> {
        let request = self.request(self.http.post(self.url.clone()));
        let json = HeaderValue::from_static("application/json");
        request.headers(headers).header(CONTENT_TYPE, json).body(text).send().await.map_err(sending)
    }

    /// Passes what comes back for the open call `token` to `table`.
    pub(super) async fn receive(
        &self,
        table: &Arc<Table>,
        teller: &Teller,
        token: &str,
        response: Response,
    ) -> Result<(), Fault> {
        let status = response.status();
        if !status.is_success() {
            return self.refused(table, token, response).await;
        }
        if is_stream(&response) {
            return self.follow(table, teller, token, response).await;
        }
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Err(Fault::Garbage(format!("HTTP {status} without an answer")));
        }
        let kind = content_type(&response);
        let text =
            body(response, LARGEST, Some(&self.large)).await.inspect_err(|fault| count(table, fault))?;
        let start = beginning(&text);
        match take(table, text, token).await {
            Taken::Ours => Ok(()),
            Taken::Rest => Err(Fault::Garbage(format!("{kind}: {start}"))),
        }
    }

    /// Asks for the stream that belongs to no request, or for what followed the event `last` on it.
    pub(super) async fn listen(&self, last: Option<&str>) -> Result<Response, Fault> {
        let mut request = self.request(self.http.get(self.url.clone()));
        if let Some(last) = last {
            request = request.header(LAST_EVENT, last);
        }
        request.send().await.map_err(sending)
    }

    /// Says goodbye to a server that keeps a session for us.
    pub(super) async fn leave(&self) {
        if self.session.is_none() {
            return;
        }
        // Many servers do not let their sessions be ended, and keep them for as long as they like.
        if let Err(error) = self.request(self.http.delete(self.url.clone())).send().await {
            tracing::debug!(reason = reasons(&error), "a session was not ended");
        }
    }

    /// Reads the events of one answer; a legacy server may close the stream and be asked for the rest.
    async fn follow(
        &self,
        table: &Table,
        teller: &Teller,
        token: &str,
        mut response: Response,
    ) -> Result<(), Fault> {
        let mut last = None;
        let mut pause = Duration::from_secs(1);
        for _ in 0..RESUMES {
            let broken = match self.read(table, teller, token, response, &mut last, &mut pause).await {
                Ok(Read::Answered) => return Ok(()),
                Ok(Read::Closed) => Fault::Ended("the answer's stream was closed early".to_owned()),
                Err(fault @ Fault::Ended(_)) => fault,
                Err(fault) => return Err(fault),
            };
            let Some(id) = last.as_deref().filter(|_| self.era == Era::Legacy) else { return Err(broken) };
            tokio::time::sleep(pause).await;
            let request = self.request(self.http.get(self.url.clone()));
            response = request.header(LAST_EVENT, id).send().await.map_err(|_| broken.clone())?;
            if !response.status().is_success() || !is_stream(&response) {
                return Err(broken);
            }
        }
        Err(Fault::Garbage(format!("the answer's stream was closed {RESUMES} times without an answer")))
    }

    async fn read(
        &self,
        table: &Table,
        teller: &Teller,
        token: &str,
        response: Response,
        last: &mut Option<String>,
        pause: &mut Duration,
    ) -> Result<Read, Fault> {
        let (mut events, mut pace) = (Events::new(LARGEST), Pace::default());
        let mut bytes = response.bytes_stream().boxed();
        let mut turn = None;
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|error| Fault::Ended(reasons(&error)))?;
            let ended = events.push(&chunk).map_err(Fault::from).inspect_err(|fault| count(table, fault))?;
            // As in `body`.
            if events.held() > SMALL && turn.is_none() {
                turn = self.large.acquire().await.ok();
            }
            for event in ended {
                let Event { name, id, retry, data } = event;
                *last = id.or(last.take());
                *pause = retry.map_or(*pause, |ms| Duration::from_millis(ms.min(10_000)));
                pace.keep().await;
                if data.is_empty() || name.is_some_and(|name| name != "message") {
                    continue;
                }
                if table.take(&data, Some(token)) == Taken::Rest {
                    self.rest(teller, &data).await?;
                }
                if !table.is_open(token) {
                    tokio::spawn(drain(bytes));
                    return Ok(Read::Answered);
                }
            }
            if events.held() <= SMALL {
                turn = None;
            }
        }
        Ok(Read::Closed)
    }

    /// What came on a stream and belongs to the connection.
    pub(super) async fn rest(&self, teller: &Teller, text: &str) -> Result<(), Fault> {
        let Ok(head) = Head::parse(text) else { return Err(Fault::Garbage(beginning(text))) };
        match (head.message(), head.method.as_deref(), head.id) {
            (Some(Message::Notification), Some(method), _) if method.ends_with("/list_changed") => {
                teller.hint(News::Changed);
            }
            (Some(Message::Notification), Some("notifications/resources/updated"), _) => {
                let uri = Fields::of(head.params).ok().and_then(|params| params.get_str("uri"));
                if let Some(uri) = uri {
                    teller.hint(News::Updated(uri));
                }
            }
            (Some(Message::Request), Some("ping"), Some(id)) => {
                self.tell(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.get())).await;
            }
            _ => tracing::debug!(method = ?head.method, "a message that belongs to no call was skipped"),
        }
        Ok(())
    }

    /// Sends what needs no answer.
    pub(super) async fn tell(&self, text: String) {
        let request = self.request(self.http.post(self.url.clone()));
        let sending = request.header(CONTENT_TYPE, "application/json").body(text).timeout(TELL_WITHIN).send();
        if let Err(error) = sending.await {
            tracing::debug!(reason = reasons(&error), "a notification did not get through");
        }
    }

    /// An answer whose status is no success: the server's own error where it gives one.
    async fn refused(&self, table: &Table, token: &str, response: Response) -> Result<(), Fault> {
        let status = response.status();
        let text = body(response, SMALL, None).await.unwrap_or_default();
        if let Ok(head) = Head::parse(&text)
            && let Some(error) = head.error
        {
            let error = RpcError(error.to_owned());
            let names_call = head.id.is_some_and(|id| id.get() != "null");
            if !names_call && self.session.is_some() && speaks_of_session(status, &error) {
                return Err(Fault::SessionGone);
            }
            table.answer(token, Err(error));
            return Ok(());
        }
        Err(match status {
            StatusCode::NOT_FOUND if self.session.is_some() => Fault::SessionGone,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Fault::Refused {
                status: status.as_u16(),
                advice: "give the credentials that it wants in remote.headersFrom of its MCPServer",
            },
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                Fault::Refused { status: status.as_u16(), advice: "see whether its path is right" }
            }
            _ => Fault::Refused { status: status.as_u16(), advice: "see the server's own log" },
        })
    }
}

enum Read {
    Answered,
    Closed,
}

impl From<EventError> for Fault {
    fn from(error: EventError) -> Self {
        match error {
            EventError::TooLarge { limit: _ } => Self::TooLarge,
            EventError::NotText => Self::Garbage(error.to_string()),
        }
    }
}

/// A message that could not even be read.
fn count(table: &Table, fault: &Fault) {
    match fault {
        Fault::TooLarge => table.rejected(Reason::TooLarge),
        Fault::Garbage(_) => table.rejected(Reason::InvalidJson),
        _ => {}
    }
}

/// 404 is what the protocol says; many servers answer 400 and say it in words.
fn speaks_of_session(status: StatusCode, error: &RpcError) -> bool {
    status == StatusCode::NOT_FOUND
        || status == StatusCode::BAD_REQUEST
            && error.message().is_some_and(|message| message.to_lowercase().contains("session"))
}

async fn drain(mut bytes: futures::stream::BoxStream<'static, reqwest::Result<Bytes>>) {
    let rest = async { while let Some(Ok(_)) = bytes.next().await {} };
    // Longer than that, the connection is given up.
    let _ = tokio::time::timeout(DRAIN_WITHIN, rest).await;
}

/// Looking through a large answer takes long enough to keep others waiting: it is done beside.
async fn take(table: &Arc<Table>, text: String, token: &str) -> Taken {
    if text.len() <= SMALL {
        return table.take(&text, Some(token));
    }
    let (table, token) = (table.clone(), token.to_owned());
    tokio::task::spawn_blocking(move || table.take(&text, Some(&token))).await.unwrap_or(Taken::Rest)
}

/// An answer that is not small waits for its turn among those when it has shown that.
pub(super) async fn body(
    mut response: Response,
    limit: usize,
    large: Option<&Semaphore>,
) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    let mut turn = None;
    while let Some(chunk) = response.chunk().await.map_err(|error| Fault::Ended(reasons(&error)))? {
        if bytes.len() + chunk.len() > limit {
            return Err(Fault::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
        if let Some(large) = large.filter(|_| bytes.len() > SMALL && turn.is_none()) {
            turn = large.acquire().await.ok();
        }
    }
    String::from_utf8(bytes).map_err(|_| Fault::Garbage("not UTF-8".to_owned()))
}

pub(super) fn is_stream(response: &Response) -> bool {
    content_type(response).starts_with("text/event-stream")
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or("no content type").to_ascii_lowercase()
}

fn beginning(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    format!("`{}`", start.escape_debug())
}

fn sending(error: reqwest::Error) -> Fault {
    if error.is_connect() { Fault::Unreachable(reasons(&error)) } else { Fault::Ended(reasons(&error)) }
}

/// The innermost reason: what reqwest says itself repeats the URL.
pub(super) fn reasons(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
