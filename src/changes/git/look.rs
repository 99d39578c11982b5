//! What became of pushed branches: one look at the other side for all of them.

use std::{collections::BTreeMap, path::Path, time::Duration};

use jiff::Timestamp;

use super::{BASE, Git, GitError, LOCAL};
use crate::changes::config::Repository;

/// Somebody waits for the answer; what takes longer is said as not known.
const LOOK: Duration = Duration::from_secs(20);

/// Where the changes of one repository stand on the other side.
#[derive(Debug)]
pub(in crate::changes) struct Look {
    /// The newest commit of each branch, without `refs/heads/`.
    branches: BTreeMap<String, String>,
    /// By the id in the `Change-Id` trailer: the newest commit that the base branch holds of each.
    merged: BTreeMap<String, Brought>,
}

/// The commit in the base branch that carries a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) struct Brought {
    pub(in crate::changes) commit: String,
    pub(in crate::changes) at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::changes) enum Fate {
    Open,
    Merged,
    /// The branch is gone, and the base holds no commit of this change.
    Gone,
}

impl Look {
    /// Asks for the branches, and fetches the commits of the base branch without their files.
    pub(in crate::changes) async fn take(repository: &Repository, work: &Path) -> Result<Self, GitError> {
        let git = Git::fresh(repository, work).await?;
        let listed = git.run(&["ls-remote", "--quiet", "--heads", &repository.url], LOOK).await?;
        let branches = String::from_utf8_lossy(&listed)
            .lines()
            .filter_map(|line| line.split_once("\trefs/heads/"))
            .map(|(commit, branch)| (branch.to_owned(), commit.to_owned()))
            .collect();
        let from = format!("+refs/heads/{}:{BASE}", repository.branch);
        git.run(&["fetch", "--quiet", "--filter=tree:0", "--no-tags", &repository.url, &from], LOOK).await?;
        // The trailer also tells when a merge has made other commits of ours: a rebase, most squashes.
        let format = "--format=%H %ct %(trailers:key=Change-Id,valueonly,separator=%x20)";
        let said = git.run(&["log", "--fixed-strings", "--grep=Change-Id: ", format, BASE], LOCAL).await?;
        let mut merged = BTreeMap::new();
        for line in String::from_utf8_lossy(&said).lines() {
            let mut words = line.split_whitespace();
            let (Some(commit), Some(seconds)) = (words.next(), words.next()) else { continue };
            let at = seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
            for id in words {
                let brought = || Brought { commit: commit.to_owned(), at };
                merged.entry(id.to_owned()).or_insert_with(brought);
            }
        }
        Ok(Self { branches, merged })
    }

    pub(in crate::changes) fn brought(&self, id: &str) -> Option<&Brought> {
        self.merged.get(id)
    }

    pub(in crate::changes) fn head(&self, branch: &str) -> Option<&str> {
        self.branches.get(branch).map(String::as_str)
    }

    /// The branches that begin so.
    pub(in crate::changes) fn branches(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.branches.keys().map(String::as_str).filter(move |branch| branch.starts_with(prefix))
    }

    pub(in crate::changes) fn fate(&self, id: &str, branch: &str) -> Fate {
        match (self.merged.contains_key(id), self.branches.contains_key(branch)) {
            (true, _) => Fate::Merged,
            (false, true) => Fate::Open,
            (false, false) => Fate::Gone,
        }
    }
}
