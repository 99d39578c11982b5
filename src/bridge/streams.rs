//! Answers over HTTP: alone as JSON, or at the end of a stream of events.

use std::{convert::Infallible, time::Duration};

use axum::response::{IntoResponse, Response, Sse, sse};
use futures::{Stream, StreamExt, stream};
use http::StatusCode;

use super::{reply, session::Said};

/// A comment on silent streams, so that a dead client is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The answer alone as JSON; as a stream when the server says something before it. Nothing at all: the request was
/// cancelled.
pub(super) async fn answer(said: impl Stream<Item = Said> + Send + 'static) -> Response {
    let mut said = Box::pin(said);
    match said.next().await {
        Some(Said { text, last: true }) => reply::json(text),
        Some(Said { text, last: false }) => {
            events(stream::once(async { text }).chain(said.map(|said| said.text)))
        }
        None => StatusCode::ACCEPTED.into_response(),
    }
}

/// Each message an event.
pub(super) fn events(texts: impl Stream<Item = String> + Send + 'static) -> Response {
    let events = texts.map(|text| Ok::<_, Infallible>(sse::Event::default().data(text)));
    Sse::new(events).keep_alive(sse::KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
