//! The client side of HTTP+SSE (2024-11-05): one stream down, POSTs up. rmcp has no such transport, so the
//! stream is ours and rmcp talks through it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use http::{
    HeaderMap,
    header::{ACCEPT, CONTENT_TYPE},
};
use rmcp::{
    RoleClient,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use url::Url;

use super::{Fault, LARGEST, http::reasons};
use crate::gateway::wire::{
    carrier,
    events::{Event, EventError, Events},
    rejected::Reason,
    table::{Table, Taken},
};

/// A POST is only accepted, its answer comes on the stream.
const ACCEPT_WITHIN: Duration = Duration::from_secs(30);

/// Where messages go up. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct SseWay {
    http: reqwest::Client,
    messages: Url,
    headers: HeaderMap,
}

/// The stream down, for rmcp.
pub(super) struct SseTransport {
    way: SseWay,
    events: BoxStream<'static, String>,
    table: Arc<Table>,
}

/// Opens the stream and waits for the address of the POSTs.
///
/// # Errors
/// One sentence when there is no such stream.
pub(super) async fn connect(
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    table: Arc<Table>,
) -> Result<(SseWay, SseTransport), String> {
    let request = http.get(url.clone()).headers(headers.clone()).header(ACCEPT, "text/event-stream");
    let response = request.send().await.map_err(|error| reasons(&error))?;
    if !response.status().is_success() {
        return Err(format!("GET answered HTTP {}", response.status().as_u16()));
    }
    let mut events = decoded(response, table.clone());
    let endpoint = loop {
        match events.next().await {
            Some(Event { name: Some(name), data, .. }) if name == "endpoint" => break data,
            Some(_) => {}
            None => return Err("the stream ended before it named its endpoint".to_owned()),
        }
    };
    let messages = url.join(endpoint.trim()).map_err(|_| "the endpoint it named is no address".to_owned())?;
    // Headers may hold credentials: they go to the place they were given for.
    if messages.origin() != url.origin() {
        return Err(format!(
            "the endpoint it named is elsewhere ({})",
            messages.origin().ascii_serialization()
        ));
    }
    let way = SseWay { http, messages, headers };
    let texts = events
        .filter(|event| {
            let message = event.name.as_deref().is_none_or(|name| name == "message");
            std::future::ready(message && !event.data.is_empty())
        })
        .map(|event| event.data)
        .boxed();
    Ok((way.clone(), SseTransport { way, events: texts, table }))
}

fn decoded(response: reqwest::Response, table: Arc<Table>) -> BoxStream<'static, Event> {
    let state = (Events::new(LARGEST), response.bytes_stream().boxed(), table);
    futures::stream::unfold(state, |(mut events, mut bytes, table)| async move {
        let found = match bytes.next().await? {
            Ok(chunk) => events.push(&chunk).map_err(|error| {
                table.rejected(match error {
                    EventError::TooLarge { limit: _ } => Reason::TooLarge,
                    EventError::NotText => Reason::InvalidJson,
                });
                error.to_string()
            }),
            Err(error) => Err(reasons(&error)),
        };
        match found {
            Ok(found) => Some((futures::stream::iter(found), (events, bytes, table))),
            Err(error) => {
                tracing::debug!(error, "a stream of events broke");
                None
            }
        }
    })
    .flatten()
    .boxed()
}

impl SseWay {
    /// # Errors
    /// When the server does not take the message.
    pub(super) async fn post(&self, text: String) -> Result<(), Fault> {
        let request = self.http.post(self.messages.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(text).timeout(ACCEPT_WITHIN);
        let response = request.send().await.map_err(|error| match error.is_connect() {
            true => Fault::Unreachable(reasons(&error)),
            false => Fault::Ended(reasons(&error)),
        })?;
        match response.status() {
            status if status.is_success() => Ok(()),
            http::StatusCode::NOT_FOUND => Err(Fault::SessionGone),
            status => Err(Fault::Refused { status: status.as_u16(), advice: "see the server's own log" }),
        }
    }
}

impl Transport<RoleClient> for SseTransport {
    type Error = std::io::Error;

    fn name() -> Cow<'static, str> {
        "HTTP+SSE".into()
    }

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let (way, text) = (self.way.clone(), carrier::print(&item));
        async move { way.post(text?).await.map_err(std::io::Error::other) }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let text = self.events.next().await?;
            if self.table.take(&text, None) == Taken::Ours {
                continue;
            }
            match serde_json::from_str(&text) {
                Ok(message) => return Some(message),
                Err(error) => tracing::debug!(%error, "a message that is not MCP was skipped"),
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.events = futures::stream::empty().boxed();
        Ok(())
    }
}
