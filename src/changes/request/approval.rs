//! Who approved a pull request, and whether that is somebody else than the requester. Pure.

use std::collections::BTreeMap;

use crate::changes::forge::{PullRequest, Review, Verdict};

/// Which user of the forge is which user of the cluster (`changes.people`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::changes) struct People(BTreeMap<String, String>);

impl People {
    pub(in crate::changes) fn new(people: BTreeMap<String, String>) -> Self {
        Self(people)
    }

    /// Whether the forge's user is the cluster's. Where nobody says, the same name is the same person: it is better
    /// to ask for another approval than to take one's own for it.
    pub(super) fn is(&self, of_forge: &str, of_cluster: &str) -> bool {
        if let Some(known) = self.0.get(of_forge) {
            return known == of_cluster;
        }
        let name = of_cluster.split('@').next().unwrap_or(of_cluster);
        of_forge.eq_ignore_ascii_case(of_cluster) || of_forge.eq_ignore_ascii_case(name)
    }
}

/// What the reviews of a pull request come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Approval {
    /// Everybody who approved it as it is now, the requester too.
    pub(super) by: Vec<String>,
    /// Those of them who are somebody else than the requester.
    pub(super) by_others: Vec<String>,
    /// Who wants it changed.
    pub(super) objections: Vec<String>,
    /// Approvals of what it was before its newest commit.
    pub(super) outdated: Vec<String>,
}

impl Approval {
    pub(super) fn of(pull_request: &PullRequest, requested_by: &str, people: &People) -> Self {
        let PullRequest { head, author, reviews, .. } = pull_request;
        let mut approval = Self::default();
        for Review { user, verdict, commit, at: _ } in reviews {
            let is_current = commit.as_ref().is_none_or(|commit| commit == head);
            match verdict {
                Verdict::ChangesRequested => approval.objections.push(user.clone()),
                Verdict::Approved if !is_current => approval.outdated.push(user.clone()),
                Verdict::Approved => {
                    approval.by.push(user.clone());
                    // The author is the account that pilothouse opens pull requests with: nobody's second look.
                    if user != author && !people.is(user, requested_by) {
                        approval.by_others.push(user.clone());
                    }
                }
            }
        }
        approval
    }

    /// Somebody else approved it, and nobody objects.
    pub(super) fn holds(&self) -> bool {
        !self.by_others.is_empty() && self.objections.is_empty()
    }

    /// It was approved, and by nobody but the requester.
    pub(super) fn is_own(&self) -> bool {
        !self.by.is_empty() && self.by_others.is_empty()
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::BTreeMap;

    use super::{Approval, People};
    use crate::changes::forge::{PullRequest, PullRequestState, Review, Verdict};

    pub(in crate::changes::request) fn pull_request(
        state: PullRequestState,
        reviews: &[(&str, Verdict, &str)],
    ) -> PullRequest {
        PullRequest {
            number: 7,
            url: "https://forge.example/r/7".into(),
            branch: "pilothouse/00".into(),
            head: "c1".into(),
            state,
            author: "pilothouse-bot".into(),
            reviews: reviews
                .iter()
                .map(|(user, verdict, commit)| Review {
                    user: (*user).into(),
                    verdict: *verdict,
                    commit: Some((*commit).into()),
                    at: None,
                })
                .collect(),
        }
    }

    fn of(reviews: &[(&str, Verdict, &str)]) -> Approval {
        let people = People::new(BTreeMap::from([("octo".into(), "ann@example.com".into())]));
        Approval::of(&pull_request(PullRequestState::Open, reviews), "ann@example.com", &people)
    }

    #[test]
    fn another_person_approves_and_the_requester_does_not() {
        use Verdict::{Approved, ChangesRequested};
        assert!(of(&[("bob", Approved, "c1")]).holds());
        for own in ["octo", "ann", "Ann", "ann@example.com", "pilothouse-bot"] {
            let approval = of(&[(own, Approved, "c1")]);
            assert!(!approval.holds() && approval.is_own(), "{own}");
        }
        assert!(of(&[("ann", Approved, "c1"), ("bob", Approved, "c1")]).holds());
        assert!(!of(&[("bob", Approved, "c1"), ("eve", ChangesRequested, "c1")]).holds());
        let old = of(&[("bob", Approved, "c0")]);
        assert!(!old.holds() && !old.is_own() && old.outdated == ["bob"]);
        assert!(!of(&[]).is_own());
    }

    #[test]
    fn who_is_mapped_to_somebody_else_is_somebody_else() {
        let people = People::new(BTreeMap::from([("ann".into(), "other-ann".into())]));
        assert!(!people.is("ann", "ann"));
        assert!(people.is("ann", "other-ann"));
    }
}
