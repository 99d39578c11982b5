//! How a request is refused: RFC 6750 and RFC 9728, as both eras of MCP ask for it. Pure.

use std::fmt::Write;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::{caller::Caller, redact};

/// After so many seconds it may be worth trying again, when what we ask cannot be reached.
const RETRY_AFTER: &str = "5";

/// Why a request is not let in. The sentences are shown to the client and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No bearer token.
    Missing,
    /// Not clear which token is meant.
    Malformed(&'static str),
    /// The token does not prove anything, or not to us.
    Invalid(String),
    /// The caller's token is good, but lacks these scopes.
    Scope { caller: Box<Caller>, lacking: Vec<String>, needed: Vec<String> },
    /// Whoever could tell cannot be asked now.
    Unavailable(String),
}

/// What a client needs to get a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Advice {
    /// Where the protected-resource metadata is.
    pub(super) metadata: Option<String>,
    pub(super) scopes: Vec<String>,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Invalid(_) => StatusCode::UNAUTHORIZED,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Scope { .. } => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// By which refusals are counted on record.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Missing => "no-token",
            Self::Malformed(_) => "malformed-token",
            Self::Invalid(_) => "invalid-token",
            Self::Scope { .. } => "missing-scope",
            Self::Unavailable(_) => "token-not-checked",
        }
    }

    /// Who was refused, where that was proven.
    pub(super) fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Scope { caller, .. } => Some(caller),
            Self::Missing | Self::Malformed(_) | Self::Invalid(_) | Self::Unavailable(_) => None,
        }
    }

    /// One sentence.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Missing => "a bearer token is required: send it as `Authorization: Bearer …`".to_owned(),
            Self::Malformed(why) => (*why).to_owned(),
            Self::Invalid(why) | Self::Unavailable(why) => redact::shown(why),
            Self::Scope { lacking, .. } => {
                redact::shown(&format!("the token lacks the scope {}: ask for it", lacking.join(" ")))
            }
        }
    }

    /// The `WWW-Authenticate` header; none where no other token would help.
    pub(super) fn challenge(&self, advice: &Advice) -> Option<String> {
        let (error, scopes) = match self {
            Self::Missing => (None, &advice.scopes),
            Self::Malformed(_) => (Some("invalid_request"), &advice.scopes),
            Self::Invalid(_) => (Some("invalid_token"), &advice.scopes),
            // All that are needed: who asks for the lacking ones alone would lose the others.
            Self::Scope { needed, caller: _, lacking: _ } => (Some("insufficient_scope"), needed),
            Self::Unavailable(_) => return None,
        };
        let mut text = r#"Bearer realm="pilothouse""#.to_owned();
        let mut add = |name: &str, value: &str| {
            let value: String = value.chars().filter(|c| may_be_quoted(*c)).collect();
            let _ = write!(text, r#", {name}="{value}""#);
        };
        if let Some(error) = error {
            add("error", error);
            add("error_description", &self.why());
        }
        if let Some(metadata) = &advice.metadata {
            add("resource_metadata", metadata);
        }
        if !scopes.is_empty() {
            add("scope", &scopes.join(" "));
        }
        Some(text)
    }

    pub(super) fn response(&self, advice: &Advice) -> Response {
        let status = self.status();
        let name = status.canonical_reason().unwrap_or("Refused");
        let mut response = (status, format!("{name}: {}\n", self.why())).into_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge(advice).and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

/// RFC 6750 allows no quote, backslash or anything beyond ASCII in what it quotes.
fn may_be_quoted(c: char) -> bool {
    (' '..='~').contains(&c) && c != '"' && c != '\\'
}

#[cfg(test)]
mod tests {
    use super::{Advice, Refusal};
    use crate::caller::Caller;

    fn advice() -> Advice {
        Advice {
            metadata: Some("https://h/.well-known/oauth-protected-resource/mcp".into()),
            scopes: vec!["read".into(), "call".into()],
        }
    }

    #[test]
    fn without_a_token_there_is_no_error_but_the_way_to_one() {
        assert_eq!(
            Refusal::Missing.challenge(&advice()).as_deref(),
            Some(
                r#"Bearer realm="pilothouse", resource_metadata="https://h/.well-known/oauth-protected-resource/mcp", scope="read call""#
            )
        );
        assert_eq!(
            Refusal::Missing.challenge(&Advice::default()).as_deref(),
            Some(r#"Bearer realm="pilothouse""#)
        );
    }

    #[test]
    fn a_reason_cannot_end_its_quotes() {
        let refusal = Refusal::Invalid("the `a\"b\\c\r\nX: y` token is ü".into());
        assert_eq!(
            refusal.challenge(&Advice::default()).as_deref(),
            Some(
                r#"Bearer realm="pilothouse", error="invalid_token", error_description="the `abcX: y` token is ""#
            )
        );
    }

    #[test]
    fn all_needed_scopes_are_named_at_once() {
        let needed = vec!["read".to_owned(), "write".to_owned()];
        let caller = Box::new(Caller::process());
        let refusal = Refusal::Scope { caller, lacking: vec!["write".into()], needed };
        let challenge = refusal.challenge(&advice()).unwrap_or_default();
        assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
        assert!(challenge.ends_with(r#"scope="read write""#), "{challenge}");
    }

    #[test]
    fn who_cannot_be_asked_is_no_reason_to_get_another_token() {
        let response = Refusal::Unavailable("the API server cannot be reached".into()).response(&advice());
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert!(!response.headers().contains_key("www-authenticate"));
    }
}
