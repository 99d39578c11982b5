//! One object, followed: its state now, and each later one. Or all of a list, from a version on.

use bytes::BytesMut;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ReadError, Reader, Resource, reader::query};

/// The API server ends a watch after this; whoever watches begins anew.
const SECONDS: u32 = 270;
/// No event of a watch is larger.
const LARGEST_EVENT: usize = 8 << 20;

/// What became of a watched object.
#[derive(Clone, Debug)]
pub enum Change {
    Now(Box<RawValue>),
    Gone,
}

/// What happened to an object of a list.
#[derive(Clone, Debug)]
pub enum Event {
    Now(Box<RawValue>),
    /// As it was last.
    Gone(Box<RawValue>),
    /// Nothing up to this object's version.
    Nothing(Box<RawValue>),
}

impl Reader {
    /// What happens to the objects of a list after `version`, which a list has named. The stream ends after some
    /// minutes; it goes on from the last version that it showed then. In a recorded cluster nothing happens.
    ///
    /// # Errors
    /// [`ReadError::Gone`], at once or later, when the API server no longer keeps what followed that version; see
    /// [`ReadError`].
    pub async fn watch_all(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        version: &str,
    ) -> Result<BoxStream<'static, Result<Event, ReadError>>, ReadError> {
        let path = resource.path(namespace, None)?;
        if self.recorded_at().is_some() {
            return Ok(stream::pending().boxed());
        }
        let after =
            [("resourceVersion", Some(version.to_owned())), ("allowWatchBookmarks", Some("true".to_owned()))];
        self.stream(&path, &after, event).await
    }

    /// The object as it is, then as it becomes. The stream ends after some minutes, or when the API server no longer
    /// keeps what lies between; begin anew then. In a recorded cluster nothing follows.
    ///
    /// # Errors
    /// See [`ReadError`]; an object that is not there is no error here but [`Change::Gone`].
    pub async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<BoxStream<'static, Result<Change, ReadError>>, ReadError> {
        // By its name the object is the only one of the list, whose version the watch begins at.
        let path = resource.path(namespace, None)?;
        let first = match self.get(resource, namespace, name).await {
            Ok(object) => Change::Now(object),
            Err(ReadError::NotFound { .. }) => Change::Gone,
            Err(error) => return Err(error),
        };
        let first = stream::once(std::future::ready(Ok(first)));
        if self.recorded_at().is_some() {
            return Ok(first.chain(stream::pending()).boxed());
        }
        let only = [("fieldSelector", Some(format!("metadata.name={name}")))];
        let later = self.stream(&path, &only, change).await?;
        Ok(first.chain(later).boxed())
    }

    async fn stream<T: Send + 'static>(
        &self,
        path: &str,
        asked: &[(&str, Option<String>)],
        read: Read<T>,
    ) -> Result<BoxStream<'static, Result<T, ReadError>>, ReadError> {
        let watch = [("watch", Some("true".to_owned())), ("timeoutSeconds", Some(SECONDS.to_string()))];
        let uri = format!("{path}?{}", query(&[&watch[..], asked].concat()));
        let response = self.open_stream(&uri, "application/json").await?;
        let server = self.server().to_owned();
        let pieces = response.into_body().into_data_stream().map_err(move |error| ReadError::Unreachable {
            server: server.clone(),
            reason: super::error::reason(&error),
        });
        Ok(events(pieces.boxed(), read).boxed())
    }
}

/// What a line of a watch says, by its type and object; `None` where that is nothing to whoever reads it.
type Read<T> = fn(&str, Box<RawValue>) -> Option<Result<T, ReadError>>;

/// The lines of a watch, read.
fn events<T: Send + 'static>(
    pieces: BoxStream<'static, Result<bytes::Bytes, ReadError>>,
    read: Read<T>,
) -> impl futures::Stream<Item = Result<T, ReadError>> + Send {
    stream::unfold((pieces, BytesMut::new()), move |(mut pieces, mut held)| async move {
        loop {
            if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let line = held.split_to(end + 1);
                match parsed(&line, read) {
                    Some(Ok(read)) => return Some((Ok(read), (pieces, held))),
                    Some(Err(error)) => {
                        return Some((Err(error), (stream::empty().boxed(), BytesMut::new())));
                    }
                    None => continue,
                }
            }
            if held.len() > LARGEST_EVENT {
                return None;
            }
            match pieces.next().await? {
                Ok(piece) => held.extend_from_slice(&piece),
                Err(error) => return Some((Err(error), (stream::empty().boxed(), BytesMut::new()))),
            }
        }
    })
}

/// `None` for what says nothing of an object.
fn parsed<T>(line: &[u8], read: Read<T>) -> Option<Result<T, ReadError>> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(rename = "type")]
        kind: String,
        object: Box<RawValue>,
    }
    let Line { kind, object } = serde_json::from_slice(line).ok()?;
    if kind == "ERROR" { Some(Err(ReadError::Gone)) } else { read(&kind, object) }
}

fn change(kind: &str, object: Box<RawValue>) -> Option<Result<Change, ReadError>> {
    match kind {
        "ADDED" | "MODIFIED" => Some(Ok(Change::Now(object))),
        "DELETED" => Some(Ok(Change::Gone)),
        _ => None,
    }
}

fn event(kind: &str, object: Box<RawValue>) -> Option<Result<Event, ReadError>> {
    match kind {
        "ADDED" | "MODIFIED" => Some(Ok(Event::Now(object))),
        "DELETED" => Some(Ok(Event::Gone(object))),
        "BOOKMARK" => Some(Ok(Event::Nothing(object))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use futures::{StreamExt, stream};

    use super::{Change, Event, change, event, events};

    #[tokio::test]
    async fn lines_become_changes_however_they_are_cut() {
        let text = concat!(
            r#"{"type":"ADDED","object":{"a":1}}"#,
            "\n",
            r#"{"type":"BOOKMARK","object":{}}"#,
            "\n",
            r#"{"type":"DELETED","object":{"a":1}}"#,
            "\n",
            r#"{"type":"ERROR","object":{"code":410}}"#,
            "\n",
        );
        let pieces = || {
            let pieces: Vec<_> =
                text.as_bytes().chunks(7).map(|piece| Ok(Bytes::from(piece.to_vec()))).collect();
            stream::iter(pieces).boxed()
        };
        let all: Vec<_> = events(pieces(), event).collect().await;
        assert!(matches!(
            all.as_slice(),
            [Ok(Event::Now(_)), Ok(Event::Nothing(_)), Ok(Event::Gone(_)), Err(_)]
        ));
        let seen: Vec<_> = events(pieces(), change).collect().await;
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(matches!(&seen[0], Ok(Change::Now(object)) if object.get() == r#"{"a":1}"#));
        assert!(matches!(seen[1], Ok(Change::Gone)));
        assert!(seen[2].is_err());
    }
}
