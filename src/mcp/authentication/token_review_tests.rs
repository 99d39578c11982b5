#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::future::BoxFuture;
use jiff::{Timestamp, ToSpan};
use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus, UserInfo};

use super::{Peek, Refusal, Reviewer, TokenReviews, hopeless, read};
use crate::{
    caller::{Caller, Proof},
    mcp::authentication::config::Audiences,
};

const BOT: &str = "system:serviceaccount:team-a:bot";

/// Accepts the token `good`, refuses others, and cannot be reached for `late`.
#[derive(Default)]
struct Counted(Arc<AtomicUsize>);

impl Reviewer for Counted {
    fn review(&self, spec: TokenReviewSpec) -> BoxFuture<'_, Result<TokenReviewStatus, String>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let answer = match spec.token.as_deref() {
            Some("good") => Ok(accepted(BOT, &["system:serviceaccounts"])),
            Some("late") => Err("it did not answer".to_owned()),
            _ => Ok(TokenReviewStatus::default()),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn accepted(user: &str, groups: &[&str]) -> TokenReviewStatus {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let extra = BTreeMap::from([("authentication.kubernetes.io/pod-name".to_owned(), vec!["a".to_owned()])]);
    TokenReviewStatus {
        audiences: Some(vec!["pilothouse".into()]),
        authenticated: Some(true),
        error: None,
        user: Some(UserInfo {
            extra: Some(extra),
            groups: Some(groups),
            uid: Some("u".into()),
            username: Some(user.into()),
        }),
    }
}

fn seen() -> Peek {
    let ends = Timestamp::now() + 1.hour();
    Peek { issuer: None, audiences: vec!["pilothouse".into()], ends: Some(ends) }
}

#[tokio::test]
async fn a_verdict_is_remembered_and_a_failure_is_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let reviews = TokenReviews::new(Counted(asked.clone()), Audiences::default());
    for _ in 0..3 {
        let (caller, _until) = reviews.check("good", &seen()).await.unwrap();
        assert_eq!((caller.user.as_str(), caller.proof), (BOT, Proof::TokenReview));
        assert_eq!(caller.extra["authentication.kubernetes.io/pod-name"], ["a"]);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    for _ in 0..3 {
        assert!(matches!(reviews.check("bad", &seen()).await, Err(Refusal::Invalid(_))));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    for expected in [3, 4] {
        assert!(matches!(reviews.check("late", &seen()).await, Err(Refusal::Unavailable(_))));
        assert_eq!(asked.load(Ordering::Relaxed), expected);
    }
}

#[test]
fn what_is_over_or_for_others_is_not_reviewed() {
    let now = Timestamp::now();
    let ours = Audiences::default();
    assert_eq!(hopeless(&seen(), &ours, now), None);
    let over = Peek { ends: Some(now - 1.second()), ..seen() };
    assert!(hopeless(&over, &ours, now).unwrap().contains("expired"));
    let theirs = Peek { audiences: vec!["https://kubernetes.default.svc".into()], ..seen() };
    assert!(hopeless(&theirs, &ours, now).unwrap().contains("--audience pilothouse"));
    assert!(hopeless(&Peek::default(), &ours, now).is_some());
}

#[test]
fn a_review_must_say_yes_for_our_audience_and_somebody_who_may_come() {
    let ours = Audiences::default();
    let read = |status: TokenReviewStatus| -> Result<Caller, String> { read(status, &ours) };
    assert_eq!(read(accepted("ann", &["team-a", "system:authenticated"])).unwrap().user, "ann");
    let no = TokenReviewStatus { authenticated: Some(false), ..accepted(BOT, &[]) };
    assert!(read(no).unwrap_err().contains("does not accept"));
    for audiences in [None, Some(Vec::new()), Some(vec!["other".to_owned()])] {
        let other = TokenReviewStatus { audiences, ..accepted(BOT, &[]) };
        assert!(read(other).unwrap_err().contains("audience"));
    }
    assert!(read(accepted("system:admin", &[])).is_err());
    assert!(read(accepted("ann", &["system:masters"])).is_err());
    assert!(read(accepted("", &[])).is_err());
}
