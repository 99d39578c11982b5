//! A configured repository through the `git` binary: no work tree, no hooks, no user's configuration, and the
//! token in nobody's argv, URL, file or log.
//!
//! [`command`] runs git, [`failure`] says in one sentence what went wrong, [`look`] sees what became of branches,
//! [`remote`] has what stands in for a forge.

mod command;
mod failure;
mod look;
mod remote;

use std::{collections::BTreeMap, path::Path, time::Duration};

use tempfile::TempDir;

use super::config::Repository;
use command::Git;
pub(super) use failure::GitError;
pub(super) use look::{Fate, Look};
pub(super) use remote::Remote;

/// Talking to the other side; the rest is local.
const REMOTE: Duration = Duration::from_secs(90);
const LOCAL: Duration = Duration::from_secs(20);

const BASE: &str = "refs/pilothouse/base";

/// Larger files hold no manifest that a person maintains.
const LARGEST: u64 = 1 << 20;
const MOST_FILES: usize = 10_000;

/// One commit of the base branch, fetched without its history into a private folder that goes with this value.
pub(super) struct Snapshot<'r> {
    git: Git<'r>,
    repository: &'r Repository,
    /// The fetched commit.
    pub(super) commit: String,
}

/// A file as the commit has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TreeFile {
    mode: String,
    id: String,
    pub(super) path: String,
}

impl<'r> Git<'r> {
    /// An empty repository in a folder of its own below `work`.
    async fn fresh(repository: &'r Repository, work: &Path) -> Result<Self, GitError> {
        let folder = tempfile::Builder::new()
            .prefix("git-")
            .tempdir_in(work)
            .map_err(|source| GitError::Folder { path: work.display().to_string(), source })?;
        let git = Self::new(repository, folder)?;
        git.run(&["init", "--quiet", "--bare", "--template="], LOCAL).await?;
        Ok(git)
    }
}

impl Git<'_> {
    /// Makes a commit on `parent` that gives files, as `(mode, path, text)`, new texts; nothing is sent yet.
    async fn commit(
        &self,
        parent: &str,
        entries: &[(&str, &str, &str)],
        message: &str,
    ) -> Result<String, GitError> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        let mut listed = Vec::new();
        for (mode, path, new) in entries {
            let blob = self.feed(&["hash-object", "-w", "--stdin"], new.as_bytes().to_vec(), LOCAL).await?;
            listed.extend_from_slice(format!("{mode} {} 0\t{path}\0", text(blob)).as_bytes());
        }
        self.run(&["read-tree", parent], LOCAL).await?;
        self.feed(&["update-index", "-z", "--index-info"], listed, LOCAL).await?;
        let tree = self.line(&["write-tree"]).await?;
        let arguments = ["commit-tree", &tree, "-p", parent, "-F", "-"];
        self.feed(&arguments, message.as_bytes().to_vec(), LOCAL).await.map(text)
    }

    /// Pushes a commit to a branch that must still be where it is expected: absent when that is none.
    async fn push(&self, commit: &str, branch: &str, expected: Option<&str>) -> Result<(), GitError> {
        let to = format!("{commit}:refs/heads/{branch}");
        let lease = format!("--force-with-lease=refs/heads/{branch}:{}", expected.unwrap_or_default());
        let url = self.url();
        self.run(&["push", "--quiet", "--porcelain", "--no-verify", &lease, url, &to], REMOTE).await?;
        Ok(())
    }
}

impl<'r> Snapshot<'r> {
    /// Fetches the base branch into a folder below `work`.
    pub(super) async fn fetch(repository: &'r Repository, work: &Path) -> Result<Self, GitError> {
        let git = Git::fresh(repository, work).await?;
        let from = format!("+refs/heads/{}:{BASE}", repository.branch);
        git.run(&["fetch", "--quiet", "--depth=1", "--no-tags", &repository.url, &from], REMOTE).await?;
        let commit = git.line(&["rev-parse", "--verify", BASE]).await?;
        Ok(Self { git, repository, commit })
    }

    /// The ordinary files of the commit, by path; links and submodules are none.
    pub(super) async fn files(&self) -> Result<Vec<TreeFile>, GitError> {
        let listing = self.git.run(&["ls-tree", "-r", "-z", "-l", &self.commit], LOCAL).await?;
        Ok(listing.split(|byte| *byte == 0).filter_map(tree_file).collect())
    }

    /// What files hold, in their order.
    pub(super) async fn bytes(&self, files: &[&TreeFile]) -> Result<Vec<Vec<u8>>, GitError> {
        if files.len() > MOST_FILES {
            return Err(GitError::TooMany {
                repository: self.repository.name.clone(),
                files: files.len(),
                most: MOST_FILES,
            });
        }
        let wanted: String = files.iter().map(|file| format!("{}\n", file.id)).collect();
        let out = self.git.feed(&["cat-file", "--batch"], wanted.into_bytes(), LOCAL).await?;
        let mut rest = out.as_slice();
        let mut all = Vec::with_capacity(files.len());
        for file in files {
            let (bytes, after) = batch_item(rest).ok_or_else(|| self.git.odd("cat-file", &file.path))?;
            all.push(bytes.to_vec());
            rest = after;
        }
        Ok(all)
    }
}

fn tree_file(entry: &[u8]) -> Option<TreeFile> {
    let (about, path) = std::str::from_utf8(entry).ok()?.split_once('\t')?;
    let mut about = about.split_whitespace();
    let (mode, kind, id, size) = (about.next()?, about.next()?, about.next()?, about.next()?);
    let ordinary = kind == "blob" && mode.starts_with("100") && size.parse::<u64>().ok()? <= LARGEST;
    ordinary.then(|| TreeFile { mode: mode.to_owned(), id: id.to_owned(), path: path.to_owned() })
}

/// One `<id> blob <size>\n<bytes>\n` and what follows it.
fn batch_item(out: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = out.iter().position(|byte| *byte == b'\n')?;
    let size: usize = std::str::from_utf8(&out[..head]).ok()?.rsplit(' ').next()?.parse().ok()?;
    let start = head + 1;
    Some((out.get(start..start + size)?, out.get(start + size + 1..)?))
}

/// Removes what crashed processes left behind; a folder in use is younger.
pub(super) fn sweep(work: &Path) -> std::io::Result<()> {
    const OLD: Duration = Duration::from_secs(3600);
    for entry in std::fs::read_dir(work)? {
        let entry = entry?;
        let old = entry.metadata()?.modified()?.elapsed().is_ok_and(|age| age > OLD);
        if old && entry.file_name().to_string_lossy().starts_with("git-") {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Keeps the folder as long as git may use it.
type Folder = TempDir;
