//! Why a read failed, as one sentence each: what, where, and what to do.

use std::error::Error;

use serde::Deserialize;

#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// There is no cluster: the sentence says how to give one.
    #[error("{0}")]
    NoCluster(String),
    #[error("{message}")]
    NotFound { message: String },
    #[error(
        "the API server does not let us read this ({message}): ask for the rights, or look at what you may see"
    )]
    Forbidden { message: String },
    #[error("`{0}` were left out of this recording: it holds none, whatever the cluster had")]
    NotRecorded(String),
    #[error("{server} does not accept our credentials ({message}): log in again, or renew the kubeconfig")]
    Unauthorized { server: String, message: String },
    /// The state that a cursor or continuation belongs to is compacted away.
    #[error(
        "the cluster no longer keeps the state this page belongs to (it does so for about five minutes): call again without `cursor` to start over"
    )]
    Gone,
    #[error(
        "{server} did not answer within {seconds} s: check that it is reachable and not overloaded, then try again"
    )]
    Timeout { server: String, seconds: u64 },
    #[error("{server} cannot be reached ({reason}): check the address in the kubeconfig and the network")]
    Unreachable { server: String, reason: String },
    #[error("the API server refused the request with {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the answer of {server} to {path} is not what the API promises ({reason})")]
    Garbled { server: String, path: String, reason: String },
    #[error("`{0}` cannot be the name of an object: names hold no `/`, `?`, `#`, `%` or space")]
    BadName(String),
    #[error("the cluster cannot be read as this caller: {0}")]
    NotImpersonable(String),
    #[error("there is no context `{asked}` here: use one of {known}, or leave `context` out")]
    NoContext { asked: String, known: String },
    #[error("the reader does not send {0}: it reads, and asks for reviews, and nothing else")]
    NotARead(String),
}

impl ReadError {
    pub(super) fn of_status(status: http::StatusCode, body: &[u8], server: &str) -> Self {
        #[derive(Deserialize)]
        struct Status {
            message: Option<String>,
        }
        let message = serde_json::from_slice::<Status>(body).ok().and_then(|status| status.message);
        let message = message.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(body);
            text.trim().chars().take(300).collect()
        });
        let message = crate::redact::shown(&message);
        match status.as_u16() {
            401 => Self::Unauthorized { server: server.to_owned(), message },
            403 => Self::Forbidden { message },
            404 => Self::NotFound { message },
            410 => Self::Gone,
            status => Self::Refused { status, message },
        }
    }

    pub(super) fn of_client(error: &kube::Error, server: &str) -> Self {
        if let kube::Error::Api(status) = error {
            let code = http::StatusCode::from_u16(status.code).unwrap_or(http::StatusCode::BAD_GATEWAY);
            return Self::of_status(code, status.message.as_bytes(), server);
        }
        Self::Unreachable { server: server.to_owned(), reason: reason(error) }
    }
}

/// The innermost cause says most; the outer layers only say that something failed below them.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let text = crate::redact::shown(text.trim());
    if text.is_empty() { "no reason given".to_owned() } else { text }
}
