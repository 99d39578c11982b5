//! A repository that only speaks git: branches are pushed, and people merge them as they do.
//!
//! A pushed branch stands for a pull request with the number 0. Whether it was merged is told by the `Change-Id` in the
//! messages of the base branch, which is the last part of the branch's name.

use std::{collections::BTreeMap, path::PathBuf};

use futures::future::BoxFuture;

use super::{
    Committed, Forge, ForgeError, NewCommit, NewPullRequest, PullRequest, PullRequestState, Snapshot,
    gathering::{self, Gathering, is_wanted},
};
use crate::{
    changes::{
        config::Repository,
        git::{self, Fate, GitError, Look, Remote},
    },
    redact,
};

pub(super) struct Plain {
    repository: Repository,
    /// For folders that live as long as a call.
    work: PathBuf,
}

impl Plain {
    pub(super) fn new(repository: Repository, work: PathBuf) -> Self {
        Self { repository, work }
    }

    async fn remote(&self) -> Result<Remote<'_>, ForgeError> {
        Ok(Remote::open(&self.repository, &self.work).await?)
    }

    async fn look(&self) -> Result<Look, ForgeError> {
        Ok(Look::take(&self.repository, &self.work).await?)
    }

    async fn read(&self) -> Result<Snapshot, ForgeError> {
        let fetched = git::Snapshot::fetch(&self.repository, &self.work).await?;
        let files = fetched.files().await?;
        let wanted: Vec<_> = files.iter().filter(|file| is_wanted(&file.path, 0)).collect();
        let mut all = Gathering::default();
        for (file, bytes) in wanted.iter().zip(fetched.bytes(&wanted).await?) {
            let place = || format!("repository {}", self.repository.name);
            all.add(&file.path, bytes).map_err(|why| gathering::too_much(&place(), &why))?;
        }
        Ok(Snapshot { commit: fetched.commit, files: all.files() })
    }

    async fn write(&self, new: &NewCommit) -> Result<Committed, ForgeError> {
        let remote = self.remote().await?;
        let head = remote.head(&new.branch).await?;
        if head != new.expected {
            return Ok(match head {
                Some(head) if is(&remote.newest(&new.branch).await?, new) => Committed::Done { commit: head },
                _ => Committed::Moved,
            });
        }
        let on_itself = new.expected.as_ref() == Some(&new.parent);
        let on = if on_itself { &new.branch } else { &self.repository.branch };
        let Some(commit) = remote.commit(on, &new.parent, &new.files, &new.message).await? else {
            return Ok(Committed::Moved);
        };
        let pushed = remote.push(&commit, &new.branch, new.expected.as_deref()).await;
        match pushed {
            Ok(()) => Ok(Committed::Done { commit }),
            // The answer may have been lost, and not the push.
            Err(error) => match remote.head(&new.branch).await {
                Ok(Some(head)) if head == commit => Ok(Committed::Done { commit }),
                Ok(head) if head != new.expected => Ok(Committed::Moved),
                _ => Err(error.into()),
            },
        }
    }

    fn shown(&self, look: &Look, branch: &str) -> Option<PullRequest> {
        let id = branch.rsplit('/').next().unwrap_or(branch);
        let head = look.head(branch);
        let state = match look.fate(id, branch) {
            Fate::Open => PullRequestState::Open,
            Fate::Merged => {
                let brought = look.brought(id)?;
                PullRequestState::Merged { commit: brought.commit.clone(), at: brought.at, by: None }
            }
            Fate::Gone => return None,
        };
        Some(PullRequest {
            number: 0,
            url: self.repository.url.clone(),
            branch: branch.to_owned(),
            head: head.unwrap_or_default().to_owned(),
            state,
            author: "pilothouse".to_owned(),
            reviews: Vec::new(),
        })
    }
}

fn is((parent, message): &(Option<String>, String), new: &NewCommit) -> bool {
    parent.as_ref() == Some(&new.parent) && message.trim() == new.message.trim()
}

impl From<GitError> for ForgeError {
    fn from(error: GitError) -> Self {
        let said = redact::shown(&error.to_string());
        match error {
            GitError::Token { .. } | GitError::Denied { .. } | GitError::Rejected { .. } => {
                Self::Refused(said)
            }
            GitError::Unreachable { .. }
            | GitError::Slow { .. }
            | GitError::NotRun { .. }
            | GitError::Folder { .. }
            | GitError::Raced { .. } => Self::Unavailable(said),
            GitError::Missing { .. } | GitError::NoBranch { .. } => Self::Missing(said),
            GitError::TooMany { .. }
            | GitError::Untrusted { .. }
            | GitError::Elsewhere { .. }
            | GitError::Other { .. } => Self::Unsupported(said),
        }
    }
}

impl Forge for Plain {
    fn has_pull_requests(&self) -> bool {
        false
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, ForgeError>> {
        Box::pin(self.read())
    }

    fn head<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, Result<Option<String>, ForgeError>> {
        Box::pin(async move { Ok(self.remote().await?.head(branch).await?) })
    }

    fn commit<'a>(&'a self, commit: &'a NewCommit) -> BoxFuture<'a, Result<Committed, ForgeError>> {
        Box::pin(self.write(commit))
    }

    fn find<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, Result<Option<PullRequest>, ForgeError>> {
        Box::pin(async move { Ok(self.shown(&self.look().await?, branch)) })
    }

    fn open_branches<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, ForgeError>> {
        Box::pin(async move {
            let look = self.look().await?;
            let is_open =
                |branch: &&str| look.fate(branch.rsplit('/').next().unwrap_or(branch), branch) == Fate::Open;
            Ok(look.branches(prefix).filter(is_open).map(ToOwned::to_owned).collect())
        })
    }

    fn open<'a>(&'a self, new: &'a NewPullRequest) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(async move {
            self.shown(&self.look().await?, &new.branch).ok_or_else(|| {
                ForgeError::Missing(format!(
                    "repository {} has no branch {}: propose the change again",
                    self.repository.name, new.branch
                ))
            })
        })
    }

    fn update<'a>(&'a self, _: u64, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), ForgeError>> {
        Box::pin(async { Ok(()) })
    }

    fn get(&self, _: u64) -> BoxFuture<'_, Result<PullRequest, ForgeError>> {
        Box::pin(async {
            Err(ForgeError::Unsupported(format!(
                "repository {} has no numbered pull requests: look for the branch",
                self.repository.name
            )))
        })
    }

    fn comment<'a>(&'a self, _: u64, _: &'a str) -> BoxFuture<'a, Result<(), ForgeError>> {
        Box::pin(async { Ok(()) })
    }

    fn close<'a>(
        &'a self,
        _: u64,
        branch: &'a str,
        head: &'a str,
    ) -> BoxFuture<'a, Result<bool, ForgeError>> {
        Box::pin(async move { Ok(self.remote().await?.remove(branch, head).await?) })
    }

    fn files<'a>(
        &'a self,
        branch: &'a str,
        head: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, ForgeError>> {
        Box::pin(async move {
            let repository = Repository { branch: branch.to_owned(), ..self.repository.clone() };
            let Snapshot { commit, files } = Self::new(repository, self.work.clone()).read().await?;
            Ok(Some(files).filter(|_| commit == head))
        })
    }

    fn parent<'a>(
        &'a self,
        branch: &'a str,
        head: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ForgeError>> {
        Box::pin(async move {
            let remote = self.remote().await?;
            let newest = remote.newest(branch).await?;
            let is_it = remote.head(branch).await?.is_some_and(|now| now == head);
            Ok(newest.0.filter(|_| is_it))
        })
    }

    fn contains<'a>(&'a self, of: &'a str, commit: &'a str) -> BoxFuture<'a, Result<bool, ForgeError>> {
        Box::pin(async move {
            let known = self.remote().await?.contains(of, commit).await?;
            known.ok_or_else(|| {
                ForgeError::Missing(format!(
                    "no branch of repository {} holds {of}: look where its base stands now",
                    self.repository.name
                ))
            })
        })
    }
}
