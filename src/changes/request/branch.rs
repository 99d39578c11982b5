//! What a request's branch says, and what has to be done to it. Pure.

use super::life::phase;
use crate::api::ChangeRequestStatus;

/// What has to be done to the branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// It holds what it shall.
    Keep {
        commit: String,
    },
    Make {
        expected: Option<String>,
    },
    /// Somebody else has committed to it.
    Foreign,
}

pub(super) fn push(head: Option<&str>, status: &ChangeRequestStatus, content: &str) -> Push {
    let Some(head) = head else { return Push::Make { expected: None } };
    if status.commit.is_empty() {
        // Of a process that ended before it could say so, or of another replica.
        return Push::Keep { commit: head.to_owned() };
    }
    if status.commit != head {
        return Push::Foreign;
    }
    let is_same = status.content == content || status.content.is_empty();
    if is_same && phase(status).is_open() {
        Push::Keep { commit: head.to_owned() }
    } else {
        Push::Make { expected: Some(head.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Push, push};
    use crate::api::{ChangeRequestStatus, change_request::ChangePhase};

    #[test]
    fn the_branch_says_what_has_to_be_done() {
        let status = |commit: &str, content: &str, phase| ChangeRequestStatus {
            commit: commit.into(),
            content: content.into(),
            phase: Some(phase),
            ..ChangeRequestStatus::default()
        };
        let (open, drafted, merged) = (ChangePhase::Proposed, ChangePhase::Drafted, ChangePhase::Merged);
        let keep = |commit: &str| Push::Keep { commit: commit.into() };
        let make = |expected: Option<&str>| Push::Make { expected: expected.map(Into::into) };
        for (head, status, expected) in [
            (None, status("", "", drafted), make(None)),
            (None, status("c", "x", open), make(None)),
            (Some("h"), status("", "", drafted), keep("h")),
            (Some("c"), status("c", "x", open), keep("c")),
            (Some("c"), status("c", "x", drafted), keep("c")),
            (Some("c"), status("c", "", open), keep("c")),
            (Some("c"), status("c", "old", open), make(Some("c"))),
            (Some("c"), status("c", "x", merged), make(Some("c"))),
            (Some("h"), status("c", "x", open), Push::Foreign),
        ] {
            assert_eq!(push(head, &status, "x"), expected, "{head:?} {status:?}");
        }
    }
}
