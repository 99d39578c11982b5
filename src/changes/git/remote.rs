//! The repository at its address, for what a forge would do: where branches stand, commits on them, their end.

use std::{collections::BTreeMap, path::Path};

use super::{BASE, Git, GitError, LOCAL, REMOTE, TreeFile, tree_file};
use crate::changes::config::Repository;

/// A private folder for one piece of work; it goes with this value.
pub(in crate::changes) struct Remote<'r> {
    git: Git<'r>,
}

impl<'r> Remote<'r> {
    pub(in crate::changes) async fn open(repository: &'r Repository, work: &Path) -> Result<Self, GitError> {
        Ok(Self { git: Git::fresh(repository, work).await? })
    }

    pub(in crate::changes) async fn head(&self, branch: &str) -> Result<Option<String>, GitError> {
        let name = format!("refs/heads/{branch}");
        let out = self.git.run(&["ls-remote", "--quiet", self.git.url(), &name], REMOTE).await?;
        let text = String::from_utf8_lossy(&out);
        let found = text.lines().filter_map(|line| line.split_once('\t')).find(|(_, found)| *found == name);
        Ok(found.map(|(commit, _)| commit.to_owned()))
    }

    /// Fetches the newest commit of a branch, and says which it is.
    async fn fetch(&self, branch: &str) -> Result<String, GitError> {
        let from = format!("+refs/heads/{branch}:{BASE}");
        self.git.run(&["fetch", "--quiet", "--depth=1", "--no-tags", self.git.url(), &from], REMOTE).await?;
        self.git.line(&["rev-parse", "--verify", BASE]).await
    }

    /// The first parent and the message of a branch's newest commit.
    pub(in crate::changes) async fn newest(
        &self,
        branch: &str,
    ) -> Result<(Option<String>, String), GitError> {
        let commit = self.fetch(branch).await?;
        let text = self.git.run(&["cat-file", "commit", &commit], LOCAL).await?;
        Ok(commit_text(&String::from_utf8_lossy(&text)))
    }

    /// Makes a commit on the newest one of `on`, which must be `parent`. None when it is not.
    pub(in crate::changes) async fn commit(
        &self,
        on: &str,
        parent: &str,
        files: &BTreeMap<String, String>,
        message: &str,
    ) -> Result<Option<String>, GitError> {
        if self.fetch(on).await? != parent {
            return Ok(None);
        }
        let listing = self.git.run(&["ls-tree", "-r", "-z", "-l", parent], LOCAL).await?;
        let there: Vec<TreeFile> = listing.split(|byte| *byte == 0).filter_map(tree_file).collect();
        let mode = |path: &str| {
            there.iter().find(|file| file.path == path).map_or("100644", |file| file.mode.as_str())
        };
        let entries: Vec<_> =
            files.iter().map(|(path, text)| (mode(path), path.as_str(), text.as_str())).collect();
        self.git.commit(parent, &entries, message).await.map(Some)
    }

    pub(in crate::changes) async fn push(
        &self,
        commit: &str,
        branch: &str,
        expected: Option<&str>,
    ) -> Result<(), GitError> {
        self.git.push(commit, branch, expected).await
    }

    /// Removes a branch that stands at this commit. Answers whether it is gone: one that was not there is.
    pub(in crate::changes) async fn remove(&self, branch: &str, commit: &str) -> Result<bool, GitError> {
        match self.head(branch).await? {
            None => return Ok(true),
            Some(head) if head != commit => return Ok(false),
            Some(_) => {}
        }
        let gone = format!(":refs/heads/{branch}");
        // The server holds it to that, should somebody push in between.
        let lease = format!("--force-with-lease=refs/heads/{branch}:{commit}");
        let arguments = ["push", "--quiet", "--porcelain", "--no-verify", &lease, self.git.url(), &gone];
        match self.git.run(&arguments, REMOTE).await {
            Ok(_) => Ok(true),
            Err(error) => match self.head(branch).await? {
                None => Ok(true),
                Some(head) if head != commit => Ok(false),
                Some(_) => Err(error),
            },
        }
    }

    /// Whether `commit` is `of` or one of its ancestors. None when `of` is in no branch.
    pub(in crate::changes) async fn contains(
        &self,
        of: &str,
        commit: &str,
    ) -> Result<Option<bool>, GitError> {
        let all = "+refs/heads/*:refs/pilothouse/heads/*";
        let arguments = ["fetch", "--quiet", "--filter=tree:0", "--no-tags", self.git.url(), all];
        self.git.run(&arguments, REMOTE).await?;
        let asked = format!("{of}\n{commit}\n").into_bytes();
        let said = self.git.feed(&["cat-file", "--batch-check=%(objecttype)"], asked, LOCAL).await?;
        let said = String::from_utf8_lossy(&said);
        let known: Vec<_> = said.lines().map(|line| line.trim() == "commit").collect();
        match known.as_slice() {
            [true, true] => {}
            [true, ..] => return Ok(Some(false)),
            _ => return Ok(None),
        }
        let not = format!("^{of}");
        Ok(Some(self.git.line(&["rev-list", "--max-count=1", commit, &not]).await?.is_empty()))
    }
}

fn commit_text(text: &str) -> (Option<String>, String) {
    let (head, message) = text.split_once("\n\n").unwrap_or((text, ""));
    let parent = head.lines().find_map(|line| line.strip_prefix("parent "));
    (parent.map(ToOwned::to_owned), message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::commit_text;

    #[test]
    fn a_commit_says_what_it_stands_on() {
        let text = "tree t\nparent p\nparent q\nauthor a <a@b> 1 +0000\n\nSubject\n\nChange-Id: x\n";
        assert_eq!(commit_text(text), (Some("p".to_owned()), "Subject\n\nChange-Id: x\n".to_owned()));
        assert_eq!(commit_text("tree t\nauthor a\n"), (None, String::new()));
    }
}
