//! Where the next page begins: sealed, so that a client can only hand it back.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Rank, Sealer};

/// The last row that was shown, or the last line of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Rows are ordered by rank, then key; the next page begins after these.
    Row(Rank, String),
    /// The next page begins at this byte of the text.
    Byte(usize),
    /// The next page begins with this one of a sequence, counted from nought.
    Item(usize),
    /// The next page ends before these lines, one of each log.
    Lines(Vec<Mark>),
}

/// A line of a log, found again although the log grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Of which log: a digest of its name.
    #[serde(rename = "l")]
    pub log: u32,
    /// When the line was written, in nanoseconds since 1970 as far as they fit.
    #[serde(rename = "n")]
    pub at: i64,
    /// A digest of the line.
    #[serde(rename = "d")]
    pub line: u32,
    /// How many lines stood after it, at most.
    #[serde(rename = "a")]
    pub after: u64,
}

/// What a next page needs to continue exactly where the last one ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The version of the cluster's state that all pages show; empty where there is none.
    #[serde(rename = "v")]
    pub resource_version: String,
    /// When the first page was made: ages and ranks of later pages are reckoned from then.
    #[serde(rename = "t")]
    pub at: Timestamp,
    #[serde(rename = "p")]
    pub place: Place,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(flatten)]
    cursor: Cursor,
    /// Of tool and arguments.
    #[serde(rename = "d")]
    digest: String,
    #[serde(rename = "c")]
    caller: String,
}

/// The API server forgets old states after five minutes by itself; this is the outer bound.
const LIFETIME_SECONDS: i64 = 3_600;
const PURPOSE: &str = "cursor";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CursorError {
    #[error(
        "the cursor is not one this server gave out (or the server has restarted since): call again without `cursor` to start over"
    )]
    NotOurs,
    #[error(
        "the cursor belongs to a call with other arguments: repeat the arguments of that call (only `max_tokens` may differ), or leave `cursor` out to start over"
    )]
    OtherRequest,
    #[error("the cursor was given to another caller: call without `cursor` to start over")]
    OtherCaller,
    #[error("the cursor is older than an hour: call again without `cursor` to start over")]
    Expired,
}

impl Cursor {
    /// `request` is a text that is equal for calls that may continue each other: the tool and its arguments
    /// without cursor and budget. `caller` is the user's name.
    ///
    /// # Errors
    /// When the system gives no random bytes; the answer is then without a next page.
    pub fn seal(&self, sealer: &Sealer, request: &str, caller: &str) -> Result<String, super::SealError> {
        let envelope =
            Envelope { cursor: self.clone(), digest: digest_of(request), caller: caller.to_owned() };
        let plain = serde_json::to_vec(&envelope).map_err(|_| super::SealError::NoRandom)?;
        sealer.seal(PURPOSE, &plain)
    }

    /// # Errors
    /// One sentence with the way on: not ours, another request or caller, too old.
    pub fn open(
        sealed: &str,
        sealer: &Sealer,
        request: &str,
        caller: &str,
        now: Timestamp,
    ) -> Result<Self, CursorError> {
        let plain = sealer.open(PURPOSE, sealed).map_err(|_| CursorError::NotOurs)?;
        let envelope: Envelope = serde_json::from_slice(&plain).map_err(|_| CursorError::NotOurs)?;
        let Envelope { cursor, digest, caller: owner } = envelope;
        if owner != caller {
            return Err(CursorError::OtherCaller);
        }
        if digest != digest_of(request) {
            return Err(CursorError::OtherRequest);
        }
        if now.as_second() - cursor.at.as_second() > LIFETIME_SECONDS {
            return Err(CursorError::Expired);
        }
        Ok(cursor)
    }
}

fn digest_of(request: &str) -> String {
    hex::encode(&digest(&SHA256, request.as_bytes()).as_ref()[..8])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::{Timestamp, ToSpan};

    use super::{Cursor, CursorError, Place};
    use crate::answer::{Rank, Sealer};

    #[test]
    fn a_cursor_opens_only_for_its_request_caller_and_time() {
        let sealer = Sealer::random().unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let cursor =
            Cursor { resource_version: "12".into(), at, place: Place::Row(Rank::Healthy, "shop/web".into()) };
        let sealed = cursor.seal(&sealer, "list pods", "ann").unwrap();
        let open = |sealer: &Sealer, request: &str, caller: &str, seconds: i64| {
            Cursor::open(&sealed, sealer, request, caller, at + seconds.seconds())
        };
        assert_eq!(open(&sealer, "list pods", "ann", 10), Ok(cursor.clone()));
        assert_eq!(open(&sealer, "list nodes", "ann", 10), Err(CursorError::OtherRequest));
        assert_eq!(open(&sealer, "list pods", "bob", 10), Err(CursorError::OtherCaller));
        assert_eq!(open(&sealer, "list pods", "ann", 3_601), Err(CursorError::Expired));
        let other = Sealer::random().unwrap();
        assert_eq!(open(&other, "list pods", "ann", 10), Err(CursorError::NotOurs));
    }
}
