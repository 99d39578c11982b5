//! Who asks over HTTP: puts the [`Caller`] into the extensions of the request, or answers 401.

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq;

use crate::caller::Caller;

/// How callers prove who they are.
#[derive(Clone)]
pub enum Auth {
    /// Not at all: only for loopback, or when somebody said so.
    Open,
    /// By the one bearer token of this installation.
    StaticToken(StaticToken),
}

/// A bearer token, kept as its SHA-256.
#[derive(Clone)]
pub struct StaticToken([u8; 32]);

/// Shortest static token that is accepted, in characters.
const SHORTEST: usize = 16;

impl StaticToken {
    /// # Errors
    /// When the token is shorter than 16 characters or cannot stand in a header.
    pub fn new(token: &str) -> Result<Self, String> {
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "the bearer token must be at least {SHORTEST} printable ASCII characters without spaces: make one with `openssl rand -hex 32`"
            ));
        }
        Ok(Self(hash(token)))
    }

    /// Takes equally long for every wrong token.
    fn is(&self, token: &str) -> bool {
        self.0.ct_eq(&hash(token)).into()
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    out
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Missing,
    Wrong,
}

impl Auth {
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        match self {
            Self::Open => Ok(Caller::anonymous()),
            Self::StaticToken(expected) => {
                let token = bearer(headers).ok_or(Refusal::Missing)?;
                if expected.is(token) { Ok(Caller::static_token()) } else { Err(Refusal::Wrong) }
            }
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

pub(super) async fn authenticate(State(auth): State<Auth>, mut request: Request, next: Next) -> Response {
    match auth.caller(request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => {
            let (challenge, why) = match refusal {
                Refusal::Missing => (
                    r#"Bearer realm="pilothouse""#,
                    "a bearer token is required: send it as `Authorization: Bearer …`",
                ),
                Refusal::Wrong => (
                    r#"Bearer realm="pilothouse", error="invalid_token""#,
                    "the bearer token is not the one of this installation",
                ),
            };
            tracing::warn!(why, "a request was refused");
            let challenge = [(header::WWW_AUTHENTICATE, challenge)];
            (StatusCode::UNAUTHORIZED, challenge, format!("Unauthorized: {why}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, header};

    use super::{Auth, Refusal, StaticToken};
    use crate::caller::Proof;

    fn with(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    #[test]
    fn only_the_token_lets_in() {
        let auth = Auth::StaticToken(StaticToken::new("0123456789abcdef").unwrap());
        assert_eq!(auth.caller(&with("Bearer 0123456789abcdef")).unwrap().proof, Proof::StaticToken);
        assert_eq!(auth.caller(&with("bearer 0123456789abcdef")).unwrap().proof, Proof::StaticToken);
        assert_eq!(auth.caller(&with("Bearer 0123456789abcdeg")).unwrap_err(), Refusal::Wrong);
        assert_eq!(auth.caller(&with("Basic 0123456789abcdef")).unwrap_err(), Refusal::Missing);
        assert_eq!(auth.caller(&HeaderMap::new()).unwrap_err(), Refusal::Missing);
    }

    #[test]
    fn a_short_or_odd_token_is_refused_at_start() {
        assert!(StaticToken::new("short").is_err());
        assert!(StaticToken::new("0123456789 abcdef").is_err());
    }
}
