//! Pull requests as GitHub tells them.

use jiff::Timestamp;
use serde::Deserialize;

use crate::changes::forge::{
    PullRequest, Review, Verdict,
    reviews::{Given, counting},
    state::Told,
};

#[derive(Deserialize)]
pub(super) struct User {
    pub(super) login: String,
}

/// In lists, and when it was just made.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) number: u64,
    pub(super) head: End,
}

#[derive(Deserialize)]
pub(super) struct End {
    #[serde(rename = "ref")]
    pub(super) name: String,
    pub(super) sha: String,
    /// Null when the fork is gone.
    repo: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

impl Listed {
    /// A fork may have a branch of the same name, and it may be anybody's.
    pub(super) fn is_of(&self, project: &str) -> bool {
        self.head.repo.as_ref().is_some_and(|repository| repository.full_name.eq_ignore_ascii_case(project))
    }
}

#[derive(Deserialize)]
pub(super) struct Pull {
    number: u64,
    html_url: String,
    /// Absent when the account is gone.
    user: Option<User>,
    state: String,
    merged: bool,
    merged_at: Option<Timestamp>,
    merge_commit_sha: Option<String>,
    merged_by: Option<User>,
    head: End,
}

#[derive(Deserialize)]
pub(super) struct Issue {
    pub(super) closed_by: Option<User>,
}

#[derive(Deserialize)]
pub(super) struct Reviewed {
    user: Option<User>,
    state: String,
    commit_id: Option<String>,
    submitted_at: Option<Timestamp>,
}

impl Pull {
    /// Closed without being merged.
    pub(super) fn was_closed(&self) -> bool {
        self.state == "closed" && !self.merged
    }

    pub(super) fn shown(self, reviews: Vec<Reviewed>, closed_by: Option<String>) -> PullRequest {
        let state = Told {
            is_open: self.state == "open",
            is_merged: self.merged,
            merge: self.merge_commit_sha,
            at: self.merged_at,
            by: self.merged_by.map(|user| user.login),
        };
        PullRequest {
            number: self.number,
            url: self.html_url,
            branch: self.head.name,
            head: self.head.sha,
            state: state.state(closed_by),
            author: self.user.map(|user| user.login).unwrap_or_default(),
            reviews: counting(reviews.into_iter().filter_map(Reviewed::given)),
        }
    }
}

impl Reviewed {
    /// Comments and drafts are no verdicts; a dismissed one no longer says which it was.
    fn given(self) -> Option<Given> {
        let Self { user, state, commit_id, submitted_at } = self;
        let (verdict, dismissed) = match state.as_str() {
            "APPROVED" => (Verdict::Approved, false),
            "CHANGES_REQUESTED" => (Verdict::ChangesRequested, false),
            "DISMISSED" => (Verdict::ChangesRequested, true),
            _ => return None,
        };
        let review = Review { user: user?.login, verdict, commit: commit_id, at: submitted_at };
        Some(Given { review, dismissed })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::{Listed, Pull, Reviewed};
    use crate::changes::forge::{PullRequestState, Verdict};

    fn pull(state: &str, merged: bool) -> Pull {
        serde_json::from_value(json!({
            "number": 7, "html_url": "https://github.com/t/d/pull/7", "user": {"login": "bot"}, "state": state,
            "merged": merged, "merged_at": merged.then_some("2026-11-22T01:02:03Z"),
            // GitHub has one here for open ones too: the try to merge.
            "merge_commit_sha": "m", "merged_by": merged.then(|| json!({"login": "bob"})),
            "head": {"ref": "pilothouse/x", "sha": "c", "repo": {"full_name": "t/d"}}
        }))
        .unwrap()
    }

    #[test]
    fn states_are_told_apart() {
        assert_eq!(pull("open", false).shown(Vec::new(), None).state, PullRequestState::Open);
        assert!(pull("closed", false).was_closed() && !pull("closed", true).was_closed());
        let closed = pull("closed", false).shown(Vec::new(), Some("ann".to_owned()));
        assert_eq!(closed.state, PullRequestState::Closed { by: Some("ann".to_owned()) });
        let at = Some("2026-11-22T01:02:03Z".parse().unwrap());
        let merged = PullRequestState::Merged { commit: "m".to_owned(), at, by: Some("bob".to_owned()) };
        assert_eq!(pull("closed", true).shown(Vec::new(), None).state, merged);
    }

    #[test]
    fn a_pull_request_from_a_fork_is_not_ours() {
        let listed = |repository| {
            let head = json!({"ref": "pilothouse/x", "sha": "c", "repo": repository});
            serde_json::from_value::<Listed>(json!({"number": 7, "head": head})).unwrap()
        };
        assert!(listed(json!({"full_name": "T/d"})).is_of("t/d"));
        assert!(!listed(json!({"full_name": "eve/d"})).is_of("t/d"));
        assert!(!listed(json!(null)).is_of("t/d"));
    }

    #[test]
    fn a_comment_takes_no_approval_away_and_a_dismissal_does() {
        let reviews: Vec<Reviewed> = serde_json::from_value(json!([
            {"user": {"login": "ann"}, "state": "APPROVED", "commit_id": "c", "submitted_at": "2026-11-22T01:02:03Z"},
            {"user": {"login": "ann"}, "state": "COMMENTED", "commit_id": "c", "submitted_at": "2026-11-22T01:02:04Z"},
            {"user": {"login": "bob"}, "state": "APPROVED", "commit_id": "b", "submitted_at": "2026-11-22T01:02:05Z"},
            {"user": {"login": "bob"}, "state": "DISMISSED", "commit_id": "c", "submitted_at": "2026-11-22T01:02:06Z"},
            {"user": null, "state": "APPROVED", "commit_id": "c"},
            {"user": {"login": "me"}, "state": "PENDING", "commit_id": "c"}
        ]))
        .unwrap();
        let counted = pull("open", false).shown(reviews, None).reviews;
        let counted: Vec<_> = counted.iter().map(|review| (review.user.as_str(), review.verdict)).collect();
        assert_eq!(counted, [("ann", Verdict::Approved)]);
    }
}
