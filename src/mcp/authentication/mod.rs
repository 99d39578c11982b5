//! Who asks over HTTP: puts the [`Caller`] into the extensions of the request, or refuses it.
//!
//! A token is looked at in this order: one of the static tokens; a JSON Web Token of a trusted issuer, checked
//! here; any other JSON Web Token, reviewed by the API server. It ends here: nothing behind this door sees it.

pub mod config;

mod bearer;
mod challenge;
mod claims;
mod jwks;
mod keys;
mod metadata;
mod names;
mod oidc;
mod static_token;
mod token_review;
mod until;

pub use oidc::Issuer;
pub use static_token::{StaticToken, StaticTokens};
pub use token_review::{Reviewer, TokenReviews};

pub(super) use metadata::router;
pub(super) use until::Until;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, header};

use self::{
    challenge::{Advice, Refusal},
    config::SafeUrl,
    metadata::Metadata,
};
use super::turned_away::TurnedAway;
use crate::caller::Caller;

/// How callers prove who they are. Cheap to clone.
#[derive(Clone)]
pub enum Auth {
    /// Not at all: only for loopback, or when somebody said so.
    Open,
    /// By a bearer token.
    Bearer(Arc<Methods>),
}

/// The ways to prove who one is.
#[derive(Clone, Default)]
pub struct Methods {
    pub tokens: StaticTokens,
    pub reviews: Option<TokenReviews>,
    pub issuers: Vec<Issuer>,
    /// The public address of `/mcp`; otherwise it follows from the Host header.
    pub resource: Option<SafeUrl>,
}

impl Methods {
    /// Whether nobody could come in.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.reviews.is_none() && self.issuers.is_empty()
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<(Caller, Until), Refusal> {
        let token = bearer::token(headers)?;
        if let Some(holder) = self.tokens.holder(token) {
            return Ok((holder.clone(), Until::always()));
        }
        let Some(seen) = bearer::peek(token) else {
            let why = "the bearer token is none of this installation's: check it, or get another";
            return Err(Refusal::Invalid(why.to_owned()));
        };
        let named = |issuer: &&Issuer| seen.issuer.as_deref() == Some(issuer.name());
        if let Some(issuer) = self.issuers.iter().find(named) {
            return issuer.check(token).await;
        }
        match &self.reviews {
            Some(reviews) => reviews.check(token, &seen).await,
            None => Err(Refusal::Invalid("the token is of an issuer that is not trusted here".to_owned())),
        }
    }

    fn metadata(&self) -> Option<Metadata> {
        if self.issuers.is_empty() {
            return None;
        }
        let mut scopes: Vec<String> =
            self.issuers.iter().flat_map(|issuer| issuer.required_scopes().to_vec()).collect();
        scopes.sort();
        scopes.dedup();
        let issuers = self.issuers.iter().map(|issuer| issuer.name().to_owned()).collect();
        Some(Metadata { resource: self.resource.clone(), issuers, scopes })
    }
}

impl Auth {
    /// By the one token of this installation.
    pub fn only(token: StaticToken) -> Self {
        Self::Bearer(Arc::new(Methods { tokens: StaticTokens::only(token), ..Methods::default() }))
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<(Caller, Until), Refusal> {
        match self {
            Self::Open => Ok((Caller::anonymous(), Until::always())),
            Self::Bearer(methods) => methods.caller(headers).await,
        }
    }

    fn metadata(&self) -> Option<Metadata> {
        match self {
            Self::Open => None,
            Self::Bearer(methods) => methods.metadata(),
        }
    }

    fn advice(&self, request: &Request) -> Advice {
        match self.metadata() {
            Some(metadata) => Advice {
                metadata: metadata.address(request.uri(), request.headers()),
                scopes: metadata.scopes,
            },
            None => Advice::default(),
        }
    }
}

pub(super) async fn authenticate(State(auth): State<Auth>, mut request: Request, next: Next) -> Response {
    match auth.caller(request.headers()).await {
        Ok((caller, until)) => {
            request.headers_mut().remove(header::AUTHORIZATION);
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(until);
            next.run(request).await
        }
        Err(refusal) => {
            tracing::warn!(why = refusal.why(), "a request was refused");
            let turned_away =
                TurnedAway { reason: refusal.word(), why: refusal.why(), caller: refusal.caller().cloned() };
            turned_away.with(refusal.response(&auth.advice(&request)))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, header};

    use super::{Methods, Refusal, StaticToken, StaticTokens};
    use crate::caller::{Caller, Proof};

    fn with(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    #[tokio::test]
    async fn only_the_token_lets_in() {
        let mut tokens = StaticTokens::default();
        tokens.add(StaticToken::new("0123456789abcdef").unwrap(), Caller::static_token()).unwrap();
        let methods = Methods { tokens, ..Methods::default() };
        let proof = async |text| methods.caller(&with(text)).await.map(|(caller, _until)| caller.proof);
        assert_eq!(proof("Bearer 0123456789abcdef").await, Ok(Proof::StaticToken));
        assert_eq!(proof("bearer 0123456789abcdef").await, Ok(Proof::StaticToken));
        assert!(matches!(proof("Bearer 0123456789abcdeg").await, Err(Refusal::Invalid(_))));
        assert_eq!(proof("Basic 0123456789abcdef").await, Err(Refusal::Missing));
        assert!(matches!(methods.caller(&HeaderMap::new()).await, Err(Refusal::Missing)));
    }

    #[tokio::test]
    async fn a_jwt_of_nobody_we_know_is_refused_without_asking_anybody() {
        let unsigned = "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2kifQ.";
        let refused = Methods::default().caller(&with(unsigned)).await.unwrap_err();
        assert!(refused.why().contains("not trusted"), "{}", refused.why());
    }
}
