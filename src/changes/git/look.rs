//! What became of pushed branches: one look at the other side for all of them.

use std::{collections::BTreeSet, path::Path, time::Duration};

use super::{BASE, Git, GitError, LOCAL};
use crate::changes::config::Repository;

/// Somebody waits for the answer; what takes longer is said as not known.
const LOOK: Duration = Duration::from_secs(20);

/// Where the changes of one repository stand on the other side.
#[derive(Debug)]
pub(in crate::changes) struct Look {
    /// Branches that exist, without `refs/heads/`.
    branches: BTreeSet<String>,
    /// The ids in `Change-Id` trailers of commits that the base branch holds.
    merged: BTreeSet<String>,
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
            .map(|(_, branch)| branch.to_owned())
            .collect();
        let from = format!("+refs/heads/{}:{BASE}", repository.branch);
        git.run(&["fetch", "--quiet", "--filter=tree:0", "--no-tags", &repository.url, &from], LOOK).await?;
        // The trailer also tells when a merge has made other commits of ours: a rebase, most squashes.
        let format = "--format=%(trailers:key=Change-Id,valueonly)";
        let said = git.run(&["log", "--fixed-strings", "--grep=Change-Id: ", format, BASE], LOCAL).await?;
        let merged = String::from_utf8_lossy(&said).lines().map(|line| line.trim().to_owned()).collect();
        Ok(Self { branches, merged })
    }

    pub(in crate::changes) fn fate(&self, id: &str, branch: &str) -> Fate {
        match (self.merged.contains(id), self.branches.contains(branch)) {
            (true, _) => Fate::Merged,
            (false, true) => Fate::Open,
            (false, false) => Fate::Gone,
        }
    }
}
