//! What became of a pull request, as GitHub, Gitea and Forgejo tell it.

use jiff::Timestamp;

use super::PullRequestState;

pub(super) struct Told {
    pub(super) is_open: bool,
    pub(super) is_merged: bool,
    /// The merge; GitHub also has its try to merge here as long as it is open.
    pub(super) merge: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) by: Option<String>,
}

impl Told {
    /// Who closed it stands elsewhere.
    pub(super) fn state(self, closed_by: Option<String>) -> PullRequestState {
        let Self { is_open, is_merged, merge, at, by } = self;
        match (is_merged, is_open) {
            (true, _) => PullRequestState::Merged { commit: merge.unwrap_or_default(), at, by },
            (false, true) => PullRequestState::Open,
            (false, false) => PullRequestState::Closed { by: closed_by },
        }
    }
}
