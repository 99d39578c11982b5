//! The whole body of a request: not more than is allowed, and not slower than anybody waits.

use std::{pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use super::rejected::Reason;

/// Large bodies get more time than [`Patience::whole`]: so many bytes a second must come.
const SLOWEST: u64 = 64 * 1024;

/// How long a body may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Between two pieces of it.
    pub piece: Duration,
    /// For all of it, and longer as long as it comes fast.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { piece: Duration::from_secs(15), whole: Duration::from_secs(30) }
    }
}

/// Why there is no whole body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("the message is longer than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not come in time: send it at once")]
    TooSlow,
    #[error("the body cannot be read: {0}")]
    Broken(String),
}

impl Unread {
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge(_) => Reason::TooLarge,
            Self::TooSlow | Self::Broken(_) => Reason::Unfinished,
        }
    }

    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::TooLarge(_) => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => http::StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// # Errors
/// When it is longer than `limit` bytes, slower than `patience`, or breaks off.
pub async fn whole<B>(body: B, limit: usize, patience: Patience) -> Result<Bytes, Unread>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = pin!(body);
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLarge(limit));
    }
    let begun = tokio::time::Instant::now();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let came = (first.len() + rest.len()) as u64;
        let until = begun + patience.whole + Duration::from_secs(came / SLOWEST);
        let until = until.min(tokio::time::Instant::now() + patience.piece);
        let frame = tokio::time::timeout_at(until, body.frame()).await.map_err(|_| Unread::TooSlow)?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| Unread::Broken(error.into().to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let data = bytes(data);
        if first.len() + rest.len() + data.len() > limit {
            return Err(Unread::TooLarge(limit));
        }
        // Most bodies come in one piece, which need not be copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        rest.extend_from_slice(&std::mem::take(&mut first));
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn bytes(mut data: impl bytes::Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use bytes::Bytes;
    use futures::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::{Patience, Unread, whole};

    type Piece = Result<Frame<Bytes>, std::io::Error>;

    fn piece(text: &'static str) -> Piece {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn pieces_become_one_body_and_one_more_byte_is_too_much() {
        let body = || StreamBody::new(stream::iter([piece("ab"), piece("c"), piece("de")]));
        assert_eq!(whole(body(), 5, Patience::default()).await.unwrap(), "abcde");
        assert_eq!(whole(body(), 4, Patience::default()).await, Err(Unread::TooLarge(4)));
        let nothing = StreamBody::new(stream::iter(Vec::<Piece>::new()));
        assert_eq!(whole(nothing, 0, Patience::default()).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_says_so() {
        let broken = Err(std::io::Error::other("cut"));
        let body = StreamBody::new(stream::iter([piece("ab"), broken]));
        assert_eq!(whole(body, 5, Patience::default()).await, Err(Unread::Broken("cut".to_owned())));
    }

    #[tokio::test]
    async fn nobody_waits_for_a_body_that_stops_or_drips() {
        let ms = Duration::from_millis;
        let stops = StreamBody::new(stream::iter([piece("ab")]).chain(stream::pending()));
        let patience = Patience { piece: ms(20), whole: ms(600_000) };
        assert_eq!(whole(stops, 5, patience).await, Err(Unread::TooSlow));
        let drips = StreamBody::new(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((piece("x"), ()))
        }));
        let patience = Patience { piece: ms(600_000), whole: ms(50) };
        assert_eq!(whole(drips, usize::MAX, patience).await, Err(Unread::TooSlow));
    }
}
