//! What one emergency left behind in several objects, in one pull request for each repository.
//!
//! Each object is found, edited and verified by itself, on the files as those before it left them, and has a
//! ChangeRequest of its own, which is followed like any other. Only the branch, the commit and the pull request are
//! theirs together. [`places`] says where each belongs, [`bring`] makes the pull request, [`shelve`] keeps what came
//! of it.
//!
//! The branch is named by the emergency and the repository, so asking again finds it, also after a crash. One that was
//! merged or closed is over: what comes later gets the next.

mod bring;
mod places;
mod shelve;

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::{problem::Problem, status};
use crate::{
    api::{
        ChangeRequest,
        change_request::{ChangePhase, Whole},
    },
    changes::{identity::Intent, layers::Unmapped, source::Place},
};

/// One object's part.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::changes) struct Part {
    /// By which the caller knows it again.
    pub(in crate::changes) key: String,
    /// `Deployment`, or `Deployment.apps`.
    pub(in crate::changes) kind: String,
    pub(in crate::changes) namespace: Option<String>,
    pub(in crate::changes) name: String,
    pub(in crate::changes) reason: String,
    pub(in crate::changes) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::changes) enum What {
    /// Fields and their new values; `null` removes.
    Fields(Vec<(String, Value)>),
    /// The object is new, and this is its manifest.
    Added(Value),
    Removed,
}

impl What {
    fn whole(&self) -> Option<Whole> {
        match self {
            Self::Fields(_) => None,
            Self::Added(_) => Some(Whole::Added),
            Self::Removed => Some(Whole::Removed),
        }
    }
}

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Brought {
    Proposed {
        /// The ChangeRequest's id.
        change: String,
        /// Where a person reviews it: an address, or a branch.
        at: String,
    },
    /// Git says the same already.
    InGit,
    /// A part of a sentence.
    NeedsPerson(String),
}

/// Which emergency, and what is told of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::changes) struct About<'a> {
    pub(in crate::changes) emergency: &'a str,
    /// None of a record that nobody opened.
    pub(in crate::changes) incident: Option<&'a str>,
    /// Who did what and why, one sentence or a few.
    pub(in crate::changes) said: &'a str,
    /// Everybody who asked for it or wrote in it.
    pub(in crate::changes) people: &'a BTreeSet<String>,
}

/// A part that belongs to a repository.
struct Member {
    key: String,
    id: String,
    intent: Intent,
    what: What,
    place: Place,
    /// As the cluster has it, where it could be read.
    live: Option<Value>,
    /// It is known already that no file can be edited for it.
    unmapped: Option<Unmapped>,
}

impl Member {
    /// The id of its request: the same part of the same emergency is the same request.
    fn id(about: About<'_>, repository: &str, intent: &Intent, what: &What) -> String {
        let content = match what {
            What::Fields(_) => String::new(),
            What::Added(manifest) => manifest.to_string(),
            What::Removed => "removed".to_owned(),
        };
        short(&[about.emergency, &intent.digest(repository), &content])
    }
}

/// Of the pull request: `turn` counts those that are over.
fn branch_id(emergency: &str, repository: &str, turn: usize) -> String {
    short(&["together", emergency, repository, &turn.to_string()])
}

/// As long as the id of any change.
fn short(parts: &[&str]) -> String {
    let mut text = hex::encode(digest(&SHA256, parts.join("\u{0}").as_bytes()));
    text.truncate(16);
    text
}

/// Whether its pull request holds the changes of others too.
pub(super) fn is_shared(request: &ChangeRequest) -> bool {
    let now = status(request);
    request.spec.emergency.is_some()
        && matches!(now.phase, Some(ChangePhase::Proposed | ChangePhase::Approved))
        && now.branch != super::branch_of(super::id(request))
}

/// # Errors
/// When the request is one of several in a pull request: they are merged or closed together.
pub(super) fn refuse_shared(request: &ChangeRequest) -> Result<(), Problem> {
    if !is_shared(request) {
        return Ok(());
    }
    let now = status(request);
    let at = now.pull_request.map_or(now.branch, |pull_request| pull_request.url);
    Err(Problem::Asked(format!(
        "change {} is one of those that emergency {} brings back to Git together ({at}): comment there, or close that pull request",
        super::id(request),
        request.spec.emergency.as_deref().unwrap_or_default()
    )))
}

#[cfg(test)]
mod tests {
    use super::{branch_id, is_shared};
    use crate::api::{ChangeRequestStatus, change_request::ChangePhase};

    #[test]
    fn a_branch_is_known_by_emergency_repository_and_turn() {
        let one = branch_id("inc-7", "deploy", 0);
        assert!(crate::changes::identity::is_id(&one));
        assert_eq!(one, branch_id("inc-7", "deploy", 0));
        for other in
            [branch_id("inc-8", "deploy", 0), branch_id("inc-7", "apps", 0), branch_id("inc-7", "deploy", 1)]
        {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_request_with_a_branch_of_its_own_is_not_shared() {
        let mut request = super::super::sample("00ff");
        let proposed = |branch: &str| ChangeRequestStatus {
            phase: Some(ChangePhase::Proposed),
            branch: branch.into(),
            ..ChangeRequestStatus::default()
        };
        request.spec.emergency = Some("inc-7".into());
        request.status = Some(proposed("pilothouse/00ff"));
        assert!(!is_shared(&request));
        request.status = Some(proposed("pilothouse/11aa"));
        assert!(is_shared(&request));
    }
}
