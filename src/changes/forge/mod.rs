//! Where a repository is kept, and what can be asked of that place: one forge a file, all behind [`Forge`].
//!
//! Everything is about one configured repository and its base branch. A forge never decides anything: it reads,
//! commits and opens what it is told, and says in one sentence why it could not.
//!
//! [`github`], [`gitlab`] and [`gitea`] (Forgejo too) each know one API; [`hosted`] has what is alike for them: how
//! a commit or a pull request comes to be once and not twice, although answers are lost. [`rest`] is the only way to
//! the network, [`plain`] the forge that is none. README.md says which decisions were hard.

mod archive;
mod gathering;
mod gitea;
mod github;
mod gitlab;
mod hosted;
mod plain;
mod rest;
mod reviews;
mod state;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::config::{Repository, Software, Way};
use hosted::Kept;
use rest::Rest;

/// The repository at its forge. `work` is the folder for what `git` needs for a moment.
///
/// # Errors
/// When the certificates of `caFile` cannot be used.
pub fn connect(repository: &Repository, work: &Path) -> Result<Arc<dyn Forge>, ForgeError> {
    let at = match &repository.forge {
        Way::Git { .. } => return Ok(Arc::new(plain::Plain::new(repository.clone(), work.to_owned()))),
        Way::Api(hosted) => hosted,
    };
    let rest = Rest::new(repository, at)?;
    let (project, base) = (at.project.clone(), repository.branch.clone());
    Ok(match at.software {
        Software::GitHub => Arc::new(Kept::new(github::GitHub::new(rest, project, base))),
        Software::GitLab => Arc::new(Kept::new(gitlab::GitLab::new(rest, project, base))),
        Software::Gitea | Software::Forgejo => Arc::new(Kept::new(gitea::Gitea::new(rest, project, base))),
    })
}

/// One commit of the base branch, with all that could be manifests in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit's id, hex.
    pub commit: String,
    /// By path. Only ordinary files of UTF-8 text that are small enough to be maintained by a person.
    pub files: BTreeMap<String, String>,
}

/// A commit that is to be made: all of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommit {
    /// The branch that gets it; made when it is not there.
    pub branch: String,
    /// The commit it stands on.
    pub parent: String,
    /// Where the branch must stand now: `None`, it must not be there.
    pub expected: Option<String>,
    /// New texts by path; other files stay as they are in `parent`.
    pub files: BTreeMap<String, String>,
    /// Subject, text and trailers.
    pub message: String,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    Done {
        commit: String,
    },
    /// The branch, or the base, is not where it was expected: what was read is old.
    Moved,
}

/// A pull request (merge request) that is to be opened against the base branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPullRequest {
    pub branch: String,
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Made where they are not there; a forge without labels leaves them out.
    pub labels: Vec<String>,
}

/// A pull request as the forge shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    /// For people.
    pub url: String,
    pub branch: String,
    /// The branch's newest commit.
    pub head: String,
    pub state: PullRequestState,
    /// Who opened it, as the forge calls them.
    pub author: String,
    /// The reviews that count now: the newest of each reviewer, unless it was dismissed.
    pub reviews: Vec<Review>,
}

impl PullRequest {
    /// Whether our own account closed it, and no person.
    pub(in crate::changes) fn is_withdrawn(&self) -> bool {
        matches!(&self.state, PullRequestState::Closed { by: Some(by) } if by.eq_ignore_ascii_case(&self.author))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullRequestState {
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
pub struct Review {
    pub user: String,
    pub verdict: Verdict,
    /// The commit that was looked at, where the forge says so.
    pub commit: Option<String>,
    pub at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approved,
    ChangesRequested,
}

/// Why a forge did not do what it was asked; each a sentence without its end that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
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
pub trait Forge: Send + Sync {
    /// False for `git` alone. There a pushed branch stands for a pull request with the number 0, [`Self::find`] says
    /// what became of it, there are no reviews, and [`Self::update`] and [`Self::comment`] have nothing to do.
    fn has_pull_requests(&self) -> bool;

    /// The newest commit of the base branch.
    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, ForgeError>>;

    /// Where a branch stands; none when it is not there.
    fn head<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, Result<Option<String>, ForgeError>>;

    fn commit<'a>(&'a self, commit: &'a NewCommit) -> BoxFuture<'a, Result<Committed, ForgeError>>;

    /// The newest pull request from this branch, in whatever state.
    fn find<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, Result<Option<PullRequest>, ForgeError>>;

    /// The branches of open pull requests that begin with `prefix`.
    fn open_branches<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, ForgeError>>;

    /// Opens one. When an open one from this branch is there already, that one is returned; whether one that was
    /// closed may be followed by another is for the caller to say, with [`Self::find`].
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

    /// Closes an open one without merging it, and removes its branch as long as that stands at `head`. Answers whether
    /// the branch is gone.
    fn close<'a>(
        &'a self,
        number: u64,
        branch: &'a str,
        head: &'a str,
    ) -> BoxFuture<'a, Result<bool, ForgeError>>;

    /// The files of a branch that stands at `head`, as [`Self::snapshot`] has those of the base; none when it stands
    /// elsewhere.
    fn files<'a>(
        &'a self,
        branch: &'a str,
        head: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ForgeError>>;

    /// The first parent of a branch's newest commit, `head`; none when it has no parent, or is not the newest.
    fn parent<'a>(
        &'a self,
        branch: &'a str,
        head: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ForgeError>>;

    /// Whether `commit` is `of` itself or one of its ancestors.
    fn contains<'a>(&'a self, of: &'a str, commit: &'a str) -> BoxFuture<'a, Result<bool, ForgeError>>;
}
