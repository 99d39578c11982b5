//! Who approved a pull request, and whether that is somebody else than the requester. Pure.

use std::collections::BTreeMap;

use crate::changes::forge::{PullRequest, Review, Verdict};

/// Which user of the forge is which user of the cluster (`changes.people`). The forge's names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::changes) struct People(BTreeMap<String, String>);

impl People {
    pub(in crate::changes) fn new(people: BTreeMap<String, String>) -> Self {
        Self(people.into_iter().map(|(of_forge, known)| (of_forge.to_lowercase(), known)).collect())
    }

    /// Whether the forge's user is the cluster's. Where nobody says, the same name is the same person, whatever an
    /// identity provider puts before or behind it: it is better to ask for another approval than to take one's own
    /// for it.
    pub(super) fn is(&self, of_forge: &str, of_cluster: &str) -> bool {
        let known = self.0.get(&of_forge.to_lowercase()).map_or(of_forge, String::as_str);
        names(of_cluster).any(|name| name.eq_ignore_ascii_case(known))
    }

    fn is_one_of(&self, of_forge: &str, askers: &[&str]) -> bool {
        askers.iter().any(|asker| self.is(of_forge, asker))
    }
}

/// What a person of the cluster may be called elsewhere: `https://issuer#ann@example.com` is also `ann@example.com`
/// and `ann`.
fn names(of_cluster: &str) -> impl Iterator<Item = &str> {
    let behind = ['#', ':', '/'].into_iter().filter_map(move |mark| Some(of_cluster.rsplit_once(mark)?.1));
    let whole = std::iter::once(of_cluster).chain(behind);
    whole.flat_map(|name| [name, name.split('@').next().unwrap_or(name)]).filter(|name| !name.is_empty())
}

/// What the reviews of a pull request come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Approval {
    /// Everybody who approved it as it is now, those who asked for it too.
    pub(super) by: Vec<String>,
    /// Those of them who had no hand in it.
    pub(super) by_others: Vec<String>,
    /// Who wants it changed.
    pub(super) objections: Vec<String>,
    /// Approvals of what it was before its newest commit.
    pub(super) outdated: Vec<String>,
}

impl Approval {
    /// `askers` are all who had a hand in it.
    pub(super) fn of(pull_request: &PullRequest, askers: &[&str], people: &People) -> Self {
        let PullRequest { head, reviews, .. } = pull_request;
        let mut approval = Self::default();
        for Review { user, verdict, commit, at: _ } in reviews {
            let is_current = commit.as_ref().is_none_or(|commit| commit == head);
            match verdict {
                Verdict::ChangesRequested => approval.objections.push(user.clone()),
                Verdict::Approved if !is_current => approval.outdated.push(user.clone()),
                Verdict::Approved => {
                    approval.by.push(user.clone());
                    if is_other(pull_request, user, askers, people) {
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

    /// It was approved, and by nobody but those who asked for it.
    pub(super) fn is_own(&self) -> bool {
        !self.by.is_empty() && self.by_others.is_empty()
    }
}

/// Whether this user of the forge is a second pair of eyes. The author is the account that pilothouse opens pull
/// requests with, so it is none.
pub(super) fn is_other(pull_request: &PullRequest, user: &str, askers: &[&str], people: &People) -> bool {
    !pull_request.author.eq_ignore_ascii_case(user) && !people.is_one_of(user, askers)
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
        let askers = ["ann@example.com", "https://issuer.example#lea@example.com"];
        Approval::of(&pull_request(PullRequestState::Open, reviews), &askers, &people)
    }

    #[test]
    fn another_person_approves_and_the_requester_does_not() {
        use Verdict::{Approved, ChangesRequested};
        assert!(of(&[("bob", Approved, "c1")]).holds());
        for own in
            ["octo", "Octo", "ann", "Ann", "ann@example.com", "Pilothouse-Bot", "lea", "Lea@Example.com"]
        {
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
        let people = People::new(BTreeMap::from([("Octo".into(), "ann@one.example".into())]));
        assert!(people.is("octo", "oidc:ann@one.example") && !people.is("octo", "oidc:ann@two.example"));
    }

    #[test]
    fn what_an_identity_provider_puts_before_a_name_makes_nobody_else_of_them() {
        let people = People::default();
        for same in ["ann", "ANN", "ann@example.com", "https://issuer.example#ann", "oidc:ann", "corp/ann"] {
            assert!(people.is("ann", same), "{same}");
        }
        for other in ["joann", "ann.b", "https://ann#bob", "", "#"] {
            assert!(!people.is("ann", other), "{other}");
        }
        assert!(!people.is("", "#"));
    }
}
