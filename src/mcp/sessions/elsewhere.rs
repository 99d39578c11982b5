//! The other replicas, as far as the face needs them. `peers` reaches them, `app` plugs it in.

use axum::response::Response;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, Method, header};
use serde::{Deserialize, Serialize};

use crate::caller::Caller;

/// A request on its way from one replica to another.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub cover: Cover,
    pub body: Bytes,
}

/// All of it but the body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cover {
    /// As proven at the door where the request came in. No token goes along.
    pub caller: Caller,
    /// Who gets it may make the session again when it does not have it.
    pub adopt: bool,
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Cover {
    pub(super) fn new(caller: Caller, method: &Method, path: &str, headers: &HeaderMap) -> Self {
        let passed = headers.iter().filter(|(name, _)| passes(name));
        let text = |(name, value): (&HeaderName, &http::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        Self {
            caller,
            adopt: false,
            method: method.to_string(),
            path: path.to_owned(),
            headers: passed.filter_map(text).collect(),
        }
    }
}

/// What the protocol knows; nothing that proves who somebody is, and nothing of the connection.
fn passes(name: &HeaderName) -> bool {
    [header::ACCEPT, header::CONTENT_TYPE, header::HOST].contains(name)
        || ["last-event-id", "traceparent", "tracestate", "baggage"].contains(&name.as_str())
        || name.as_str().starts_with("mcp-")
}

/// What became of a parcel.
#[derive(Debug)]
pub enum Forwarded {
    /// The other's answer. Its body fails when the other one ends before the answer does.
    Answered(Response),
    /// The other one is not there any more, or is leaving: nobody has acted on the request.
    Gone,
    /// The other one may have acted on the request. Why its answer is missing, as the end of a sentence.
    Lost(String),
}

/// Who has a session whose owner is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// Nobody: this replica makes it again.
    Here,
    /// This other replica: it has the session already, or is the one to make it again.
    At(String),
}

/// The other replicas.
pub trait Elsewhere: Send + Sync {
    /// Names this process among all replicas, those of the past included.
    fn here(&self) -> &str;

    /// There are no others.
    fn is_alone(&self) -> bool;

    /// Who takes over `session`; all replicas that ask get the same answer. The `owner` keeps it when it is there after
    /// all. `leaving`: not this one.
    fn keeper<'a>(&'a self, session: &'a str, owner: &'a str, leaving: bool) -> BoxFuture<'a, Keeper>;

    /// Sends a request to the replica of that name, and waits for the beginning of its answer.
    fn forward<'a>(&'a self, replica: &'a str, parcel: Parcel) -> BoxFuture<'a, Forwarded>;
}

/// No other replica.
#[derive(Debug)]
pub struct Alone(String);

impl Default for Alone {
    fn default() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }
}

impl Elsewhere for Alone {
    fn here(&self) -> &str {
        &self.0
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn keeper<'a>(&'a self, _session: &'a str, _owner: &'a str, _leaving: bool) -> BoxFuture<'a, Keeper> {
        Box::pin(std::future::ready(Keeper::Here))
    }

    fn forward<'a>(&'a self, _replica: &'a str, _parcel: Parcel) -> BoxFuture<'a, Forwarded> {
        Box::pin(std::future::ready(Forwarded::Gone))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::Cover;
    use crate::caller::Caller;

    #[test]
    fn no_token_goes_along() {
        let headers = ["authorization", "cookie", "host", "mcp-session-id", "accept", "last-event-id"];
        let headers: HeaderMap = headers
            .into_iter()
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")))
            .collect();
        let cover = Cover::new(Caller::anonymous(), &Method::POST, "/mcp", &headers);
        let names: Vec<_> = cover.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["host", "mcp-session-id", "accept", "last-event-id"]);
    }
}
