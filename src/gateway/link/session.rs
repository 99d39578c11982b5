//! rmcp's HTTP client with two ears more: it notes the session id, and takes what belongs to our calls out of
//! the stream that the server keeps open.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt, stream::BoxStream};
use http::{HeaderName, HeaderValue};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage},
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sse_stream::Sse;
use tokio::sync::watch;

use super::{
    LARGEST,
    ear::{News, Teller},
};
use crate::gateway::wire::table::{Table, Taken};

/// Cheap to clone; all clones belong to one connection.
#[derive(Clone, Debug)]
pub(super) struct Session {
    http: reqwest::Client,
    id: Arc<Mutex<Option<Arc<str>>>>,
    table: Arc<Table>,
    teller: Teller,
    /// The stream was open once: when it opens again, something may have been missed.
    streamed: Arc<AtomicBool>,
    /// The server has answered whether it opens a stream.
    settled: Arc<watch::Sender<bool>>,
}

type Headers = HashMap<HeaderName, HeaderValue>;
type Failure = StreamableHttpError<reqwest::Error>;

impl Session {
    pub(super) fn new(http: reqwest::Client, table: Arc<Table>, teller: Teller) -> Self {
        let (id, streamed, settled) = (Arc::default(), Arc::default(), Arc::default());
        Self { http, id, table, teller, streamed, settled }
    }

    /// Until the stream is open, or the server has refused it. What a server says on a stream that is not there is lost,
    /// questions too: no call may come before.
    pub(super) async fn settled(&self) {
        // We hold the sending end.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// The session id that the server gave, if it gave one.
    pub(super) fn id(&self) -> Option<Arc<str>> {
        self.id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tapped(
        &self,
        stream: BoxStream<'static, Result<Sse, SseError>>,
    ) -> BoxStream<'static, Result<Sse, SseError>> {
        let (table, teller) = (self.table.clone(), self.teller.clone());
        let ends =
            futures::stream::once(async move { teller.hint(News::Doubtful) }).filter_map(async |()| None);
        stream
            .filter_map(move |event| {
                let taken = match &event {
                    Ok(Sse { data: Some(data), .. }) => table.take(data, None) == Taken::Ours,
                    _ => false,
                };
                std::future::ready((!taken).then_some(event))
            })
            .chain(ends)
            .boxed()
    }
}

/// Whether the answer says what the server declares.
fn is_greeting(message: &ClientJsonRpcMessage) -> bool {
    let JsonRpcMessage::Request(request) = message else { return false };
    matches!(request.request, ClientRequest::InitializeRequest(_) | ClientRequest::DiscoverRequest(_))
}

impl StreamableHttpClient for Session {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.post_message_with_max_sse_event_size(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            LARGEST,
        )
        .await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let greets = is_greeting(&message);
        let response = self
            .http
            .post_message_with_max_sse_event_size(
                uri,
                message,
                session_id,
                auth_header,
                custom_headers,
                max_sse_event_size,
            )
            .await?;
        if let StreamableHttpPostResponse::Json(_, Some(id)) | StreamableHttpPostResponse::Sse(_, Some(id)) =
            &response
        {
            let mut known = self.id.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(id.as_str().into());
        }
        Ok(match response {
            StreamableHttpPostResponse::Sse(stream, id) if greets => {
                let table = self.table.clone();
                let heard = stream.inspect(move |event| {
                    if let Ok(Sse { data: Some(data), .. }) = event {
                        table.greeted(data);
                    }
                });
                StreamableHttpPostResponse::Sse(heard.boxed(), id)
            }
            response => response,
        })
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<(), Failure> {
        self.http.delete_session(uri, session_id, auth_header, custom_headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            LARGEST,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        let opened = self
            .http
            .get_stream_with_max_sse_event_size(
                uri,
                session_id,
                last_event_id,
                auth_header,
                custom_headers,
                max_sse_event_size,
            )
            .await;
        self.settled.send_replace(true);
        match opened {
            Ok(stream) => {
                if self.streamed.swap(true, Ordering::Relaxed) {
                    self.teller.hint(News::Changed);
                }
                Ok(self.tapped(stream))
            }
            Err(error) => {
                if !matches!(error, StreamableHttpError::ServerDoesNotSupportSse) {
                    self.teller.hint(News::Doubtful);
                }
                Err(error)
            }
        }
    }
}
