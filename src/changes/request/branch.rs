//! What a request's branch says, and what has to be done to it.

use std::collections::BTreeMap;

use super::life::phase;
use crate::{
    api::ChangeRequestStatus,
    changes::forge::{Forge, ForgeError, Snapshot},
};

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
    /// Nobody noted who made what is there.
    Unknown {
        commit: String,
    },
}

/// What has to be done to the branch `name`, which stands at `head`, so that it holds `files` on this commit of the base.
pub(super) async fn settled(
    forge: &dyn Forge,
    (name, head): (&str, Option<&str>),
    (base, files): (&Snapshot, &BTreeMap<String, String>),
    (status, content): (&ChangeRequestStatus, &str),
) -> Result<Push, ForgeError> {
    let commit = match push(head, status, content) {
        Push::Unknown { commit } => commit,
        push => return Ok(push),
    };
    // The name is no secret: whoever may push may have been here before us.
    let Some(parent) = forge.parent(name, &commit).await? else { return Ok(Push::Foreign) };
    if parent == base.commit
        && forge.files(name, &commit).await?.is_some_and(|there| is_with(&there, &base.files, files))
    {
        return Ok(Push::Keep { commit });
    }
    // One commit is replaced by what was checked; what somebody has put on top of one is theirs.
    let is_single = parent == base.commit || forge.contains(&base.commit, &parent).await?;
    Ok(if is_single { Push::Make { expected: Some(commit) } } else { Push::Foreign })
}

type Files = BTreeMap<String, String>;

/// Whether all that is there is the base with these new texts.
fn is_with(there: &Files, base: &Files, new: &Files) -> bool {
    let mut known = new.iter().chain(base.iter().filter(|(path, _)| !new.contains_key(*path)));
    let count = new.len() + base.keys().filter(|path| !new.contains_key(*path)).count();
    there.len() == count && known.all(|(path, text)| there.get(path) == Some(text))
}

fn push(head: Option<&str>, status: &ChangeRequestStatus, content: &str) -> Push {
    let Some(head) = head else { return Push::Make { expected: None } };
    if status.commit.is_empty() {
        // Of a process that ended before it could say so, or of another replica.
        return Push::Unknown { commit: head.to_owned() };
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
    use super::{Files, Push, is_with, push};
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
            (Some("h"), status("", "", drafted), Push::Unknown { commit: "h".into() }),
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

    #[test]
    fn a_branch_is_compared_file_by_file() {
        let files = |all: &[(&str, &str)]| -> Files {
            all.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
        };
        let (base, new) = (files(&[("a", "1"), ("b", "1")]), files(&[("b", "2"), ("c", "1")]));
        assert!(is_with(&files(&[("a", "1"), ("b", "2"), ("c", "1")]), &base, &new));
        for other in [
            files(&[("a", "1"), ("b", "1"), ("c", "1")]),
            files(&[("a", "9"), ("b", "2"), ("c", "1")]),
            files(&[("b", "2"), ("c", "1")]),
            files(&[("a", "1"), ("b", "2"), ("c", "1"), (".github/workflows/x.yaml", "run")]),
        ] {
            assert!(!is_with(&other, &base, &new), "{other:?}");
        }
    }
}
