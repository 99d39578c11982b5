//! One object, followed: its state now, and each later one.

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

impl Reader {
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
        let query = query(&[
            ("watch", Some("true".to_owned())),
            ("timeoutSeconds", Some(SECONDS.to_string())),
            ("fieldSelector", Some(format!("metadata.name={name}"))),
        ]);
        let uri = format!("{path}?{query}");
        let response = self.open_stream(&uri, "application/json").await?;
        let server = self.server().to_owned();
        let pieces = response.into_body().into_data_stream().map_err(move |error| ReadError::Unreachable {
            server: server.clone(),
            reason: super::error::reason(&error),
        });
        Ok(first.chain(events(pieces.boxed())).boxed())
    }
}

/// The lines of a watch as changes.
fn events(
    pieces: BoxStream<'static, Result<bytes::Bytes, ReadError>>,
) -> impl futures::Stream<Item = Result<Change, ReadError>> + Send {
    stream::unfold((pieces, BytesMut::new()), |(mut pieces, mut held)| async move {
        loop {
            if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let line = held.split_to(end + 1);
                match change(&line) {
                    Some(Ok(change)) => return Some((Ok(change), (pieces, held))),
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

/// `None` for what says nothing of the object.
fn change(line: &[u8]) -> Option<Result<Change, ReadError>> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        kind: String,
        object: Box<RawValue>,
    }
    let Event { kind, object } = serde_json::from_slice(line).ok()?;
    match kind.as_str() {
        "ADDED" | "MODIFIED" => Some(Ok(Change::Now(object))),
        "DELETED" => Some(Ok(Change::Gone)),
        "ERROR" => Some(Err(ReadError::Gone)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use futures::{StreamExt, stream};

    use super::{Change, events};

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
        let pieces: Vec<_> = text.as_bytes().chunks(7).map(|piece| Ok(Bytes::from(piece.to_vec()))).collect();
        let seen: Vec<_> = events(stream::iter(pieces).boxed()).collect().await;
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(matches!(&seen[0], Ok(Change::Now(object)) if object.get() == r#"{"a":1}"#));
        assert!(matches!(seen[1], Ok(Change::Gone)));
        assert!(seen[2].is_err());
    }
}
