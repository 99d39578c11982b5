#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use super::{Pull, Refs, Reviewed, head};
use crate::changes::forge::{PullRequestState, Verdict};

fn pull(changed: Value) -> Pull {
    let mut pull = json!({
        "number": 7, "html_url": "http://g/t/d/pulls/7", "user": {"login": "bot"}, "state": "open", "merged": false,
        "merged_at": null, "merge_commit_sha": null, "merged_by": null,
        "base": {"label": "main", "ref": "main", "sha": "b", "repo_id": 1},
        "head": {"label": "pilothouse/x", "ref": "refs/pull/7/head", "sha": "c", "repo_id": 1}
    });
    pull.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    serde_json::from_value(pull).unwrap()
}

#[test]
fn states_are_told_apart() {
    let shown = pull(json!({})).shown(Vec::new(), None);
    assert_eq!(
        (shown.branch.as_str(), shown.head.as_str(), shown.author.as_str()),
        ("pilothouse/x", "c", "bot")
    );
    assert_eq!(shown.state, PullRequestState::Open);
    let closed = pull(json!({"state": "closed"})).shown(Vec::new(), Some("ann".to_owned()));
    assert_eq!(closed.state, PullRequestState::Closed { by: Some("ann".to_owned()) });
    let merged = json!({"state": "closed", "merged": true, "merge_commit_sha": "m",
        "merged_at": "2026-11-22T01:02:03Z", "merged_by": {"login": "bob"}});
    let merged = pull(merged).shown(Vec::new(), None);
    assert_eq!(
        merged.state,
        PullRequestState::Merged {
            commit: "m".to_owned(),
            at: Some("2026-11-22T01:02:03Z".parse().unwrap()),
            by: Some("bob".to_owned())
        }
    );
}

#[test]
fn a_pull_request_from_a_fork_is_not_ours() {
    assert!(pull(json!({})).is_of_repository());
    let head = json!({"label": "pilothouse/x", "ref": "pilothouse/x", "sha": "c", "repo_id": 2});
    assert!(!pull(json!({"head": head})).is_of_repository());
}

#[test]
fn reviews_that_are_no_verdict_do_not_count() {
    let reviews = json!([
        {"user": {"login": "ann"}, "state": "REQUEST_CHANGES", "commit_id": "c", "submitted_at": "2026-11-22T01:02:03Z", "dismissed": false},
        {"user": {"login": "ann"}, "state": "COMMENT", "commit_id": "c", "submitted_at": "2026-11-22T01:03:03Z", "dismissed": false},
        {"user": {"login": "bob"}, "state": "APPROVED", "commit_id": "", "submitted_at": "2026-11-22T01:03:03Z", "dismissed": false},
        {"user": {"login": "eve"}, "state": "APPROVED", "commit_id": "c", "submitted_at": "2026-11-22T01:03:03Z", "dismissed": true},
        {"user": null, "state": "REQUEST_REVIEW", "commit_id": "", "submitted_at": "2026-11-22T01:03:03Z", "dismissed": false}
    ]);
    let reviews: Vec<Reviewed> = serde_json::from_value(reviews).unwrap();
    let shown = pull(json!({})).shown(reviews, None);
    let said: Vec<_> = shown
        .reviews
        .iter()
        .map(|review| (review.user.as_str(), review.verdict, review.commit.as_deref()))
        .collect();
    assert_eq!(said, [("ann", Verdict::ChangesRequested, Some("c")), ("bob", Verdict::Approved, None)]);
}

#[test]
fn a_branch_that_begins_alike_is_another() {
    let refs = json!([
        {"ref": "refs/heads/pilothouse/ab", "object": {"sha": "1"}},
        {"ref": "refs/heads/pilothouse/a", "object": {"sha": "2"}}
    ]);
    let one = refs[1].clone();
    for refs in [refs, one] {
        let refs: Refs = serde_json::from_value(refs).unwrap();
        assert_eq!(head(refs, "pilothouse/a").as_deref(), Some("2"));
    }
}
