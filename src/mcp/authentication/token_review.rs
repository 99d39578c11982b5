//! Service accounts' tokens, which the API server reviews for us.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus, UserInfo};
use moka::{Expiry, future::Cache};
use tokio::sync::Semaphore;

use super::{
    bearer::{Digest, Peek, hash, peek},
    challenge::Refusal,
    config::Audiences,
    names,
    until::{Standing, Until, left},
};
use crate::caller::{Caller, Proof};

/// A positive review is believed for so long, and never longer than the token lives.
const BELIEVED: Duration = Duration::from_secs(30);
/// A negative one: a service account that was just made becomes known soon.
const DISBELIEVED: Duration = Duration::from_secs(3);
/// Reviews that are remembered at once.
const REMEMBERED: u64 = 10_000;
/// Reviews that wait for the API server at once; who comes later is told to try again.
const AT_ONCE: usize = 32;

/// Asks the API server for a TokenReview.
pub trait Reviewer: Send + Sync {
    /// # Errors
    /// One sentence, when the API server gave no verdict.
    fn review(&self, spec: TokenReviewSpec) -> BoxFuture<'_, Result<TokenReviewStatus, String>>;
}

/// Reviews for our audiences, briefly remembered by the SHA-256 of their tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenReviews {
    inner: Arc<Inner>,
}

struct Inner {
    reviewer: Box<dyn Reviewer>,
    audiences: Audiences,
    known: Cache<Digest, Verdict>,
    asking: Semaphore,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Accepted { caller: Arc<Caller>, ends: Option<Timestamp> },
    Refused(Arc<str>),
}

struct Keep;

impl Expiry<Digest, Verdict> for Keep {
    fn expire_after_create(&self, _key: &Digest, verdict: &Verdict, _at: Instant) -> Option<Duration> {
        Some(match verdict {
            Verdict::Accepted { ends, .. } => {
                ends.map_or(BELIEVED, |ends| left(ends, Timestamp::now()).min(BELIEVED))
            }
            Verdict::Refused(_) => DISBELIEVED,
        })
    }
}

impl TokenReviews {
    pub fn new(reviewer: impl Reviewer + 'static, audiences: Audiences) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).expire_after(Keep).build();
        let asking = Semaphore::new(AT_ONCE);
        Self { inner: Arc::new(Inner { reviewer: Box::new(reviewer), audiences, known, asking }) }
    }

    /// Who the holder of `token` is, and until when.
    pub(super) async fn check(&self, token: &str, seen: &Peek) -> Result<(Caller, Until), Refusal> {
        let Inner { audiences, known, .. } = &*self.inner;
        if let Some(why) = hopeless(seen, audiences, Timestamp::now()) {
            return Err(Refusal::Invalid(why));
        }
        let verdict = known.try_get_with(hash(token), self.ask(token, seen.ends)).await;
        match verdict.map_err(|why| Refusal::Unavailable(why.as_ref().clone()))? {
            Verdict::Accepted { caller, ends } => {
                let again = AskedAgain { reviews: self.clone(), token: token.to_owned() };
                Ok((caller.as_ref().clone(), Until::at(ends).and_while(again)))
            }
            Verdict::Refused(why) => Err(Refusal::Invalid(why.as_ref().to_owned())),
        }
    }

    async fn ask(&self, token: &str, ends: Option<Timestamp>) -> Result<Verdict, String> {
        let Inner { reviewer, audiences, asking, .. } = &*self.inner;
        let Ok(_asking) = asking.try_acquire() else {
            return Err("too many tokens wait for their review: try again in a moment".to_owned());
        };
        let spec =
            TokenReviewSpec { audiences: Some(audiences.as_slice().to_vec()), token: Some(token.to_owned()) };
        let status = reviewer.review(spec).await.map_err(|why| {
            tracing::error!(why, "a token cannot be reviewed");
            "the API server cannot review the token now: try again in a moment".to_owned()
        })?;
        Ok(match read(status, audiences) {
            Ok(caller) => Verdict::Accepted { caller: Arc::new(caller), ends },
            Err(why) => Verdict::Refused(why.into()),
        })
    }
}

/// For streams: the token of a pod that is gone, or of an account that was deleted, does not hold.
struct AskedAgain {
    reviews: TokenReviews,
    token: String,
}

impl Standing for AskedAgain {
    fn holds(&self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            let Some(seen) = peek(&self.token) else { return false };
            let checked = self.reviews.check(&self.token, &seen).await;
            !matches!(checked, Err(Refusal::Invalid(_)))
        })
    }
}

/// Why the API server need not be asked, where the token itself says so.
fn hopeless(seen: &Peek, audiences: &Audiences, now: Timestamp) -> Option<String> {
    let Peek { issuer: _, audiences: theirs, ends } = seen;
    if ends.is_some_and(|ends| ends <= now) {
        return Some("the token has expired: get a new one".to_owned());
    }
    let ours = audiences.as_slice();
    (!theirs.iter().any(|audience| ours.contains(audience))).then(|| {
        let first = audiences.first();
        format!(
            "the token is not for the audience `{first}`: get one that is, for example with `kubectl create token NAME --audience {first}`"
        )
    })
}

/// The caller that a review names.
fn read(status: TokenReviewStatus, audiences: &Audiences) -> Result<Caller, String> {
    let TokenReviewStatus { audiences: accepted, authenticated, error: _, user } = status;
    let user = user.filter(|_| authenticated == Some(true));
    let Some(UserInfo { extra, groups, uid: _, username }) = user else {
        return Err("the API server does not accept the token: get a new one".to_owned());
    };
    // An API server that knows no audiences would take any token.
    let for_us = accepted.iter().flatten().any(|audience| audiences.as_slice().contains(audience));
    if !for_us {
        return Err("the API server did not confirm the token's audience".to_owned());
    }
    let (user, groups) = (username.unwrap_or_default(), groups.unwrap_or_default());
    names::may_come(&user, &groups, Proof::TokenReview)?;
    Ok(Caller { user, groups, extra: extra.unwrap_or_default(), proof: Proof::TokenReview })
}

#[cfg(test)]
#[path = "token_review_tests.rs"]
mod tests;
