//! Where a repository is kept, and what can be asked of that place: one forge a file, all behind [`Forge`].
//!
//! Everything is about one configured repository and its base branch. A forge never decides anything: it reads,
//! commits and opens what it is told, and says in one sentence why it could not.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use jiff::Timestamp;

/// One commit of the base branch, with all that could be manifests in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The commit's id, hex.
    pub(super) commit: String,
    /// By path. Only ordinary files of UTF-8 text that are small enough to be maintained by a person.
    pub(super) files: BTreeMap<String, String>,
}

/// A commit that is to be made: all of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewCommit {
    /// The branch that gets it; made when it is not there.
    pub(super) branch: String,
    /// The commit it stands on.
    pub(super) parent: String,
    /// Where the branch must stand now: `None`, it must not be there.
    pub(super) expected: Option<String>,
    /// New texts by path; other files stay as they are in `parent`.
    pub(super) files: BTreeMap<String, String>,
    /// Subject, text and trailers.
    pub(super) message: String,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    Done {
        commit: String,
    },
    /// The branch, or the base, is not where it was expected: what was read is old.
    Moved,
}

/// A pull request (merge request) that is to be opened against the base branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewPullRequest {
    pub(super) branch: String,
    pub(super) title: String,
    /// Markdown.
    pub(super) body: String,
    /// Made where they are not there; a forge without labels leaves them out.
    pub(super) labels: Vec<String>,
}

/// A pull request as the forge shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PullRequest {
    pub(super) number: u64,
    /// For people.
    pub(super) url: String,
    pub(super) branch: String,
    /// The branch's newest commit.
    pub(super) head: String,
    pub(super) state: PullRequestState,
    /// Who opened it, as the forge calls them.
    pub(super) author: String,
    /// The reviews that count now: the newest of each reviewer that was not dismissed.
    pub(super) reviews: Vec<Review>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PullRequestState {
    Open,
    Merged {
        /// The commit in the base branch that brought it.
        commit: String,
        at: Option<Timestamp>,
        /// Who merged it, where the forge says so.
        by: Option<String>,
    },
    /// Closed without being merged.
    Closed {
        by: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Review {
    pub(super) user: String,
    pub(super) verdict: Verdict,
    /// The commit that was looked at, where the forge says so.
    pub(super) commit: Option<String>,
    pub(super) at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Approved,
    ChangesRequested,
}

/// Why a forge did not do what it was asked; each a sentence without its end that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ForgeError {
    /// The token is wrong, has expired, or has no rights for this.
    #[error("{0}")]
    Refused(String),
    /// The forge is down, slow or over its limits: the same may work later.
    #[error("{0}")]
    Unavailable(String),
    /// The repository, branch or pull request is not there.
    #[error("{0}")]
    Missing(String),
    /// The forge answered what it never should, or does not have what is asked (`git` alone has no pull requests).
    #[error("{0}")]
    Unsupported(String),
}

/// One configured repository at its forge. Every call has its own deadline and retries what is safe to be retried.
pub(super) trait Forge: Send + Sync {
    /// The newest commit of the base branch.
    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, ForgeError>>;

    /// Where a branch stands; none when it is not there.
    fn head<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, Result<Option<String>, ForgeError>>;

    fn commit<'a>(&'a self, commit: &'a NewCommit) -> BoxFuture<'a, Result<Committed, ForgeError>>;

    /// The newest pull request from this branch, in whatever state.
    fn find<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, Result<Option<PullRequest>, ForgeError>>;

    /// The branches of open pull requests that begin with `prefix`.
    fn open_branches<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, ForgeError>>;

    /// Opens one. When there is one from this branch already, that one is returned.
    fn open<'a>(&'a self, new: &'a NewPullRequest) -> BoxFuture<'a, Result<PullRequest, ForgeError>>;

    /// Gives an open one another title and body.
    fn update<'a>(
        &'a self,
        number: u64,
        title: &'a str,
        body: &'a str,
    ) -> BoxFuture<'a, Result<(), ForgeError>>;

    fn get(&self, number: u64) -> BoxFuture<'_, Result<PullRequest, ForgeError>>;

    fn comment<'a>(&'a self, number: u64, text: &'a str) -> BoxFuture<'a, Result<(), ForgeError>>;

    /// Closes an open one without merging it, and removes its branch.
    fn close<'a>(&'a self, number: u64, branch: &'a str) -> BoxFuture<'a, Result<(), ForgeError>>;

    /// Whether `commit` is `of` itself or one of its ancestors.
    fn contains<'a>(&'a self, of: &'a str, commit: &'a str) -> BoxFuture<'a, Result<bool, ForgeError>>;
}
