//! The real repository behind a simulated forge, and its pull requests, which only a simulated forge keeps.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::changes_git_server::{commit, git};

const NOBODY: &str = "0000000000000000000000000000000000000000";

pub(crate) struct Bare {
    folder: TempDir,
}

#[derive(Clone, Debug)]
pub(crate) struct Pull {
    pub(crate) number: u64,
    pub(crate) branch: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) labels: Vec<String>,
    pub(crate) comments: Vec<String>,
    /// User, whether it approves, the commit.
    pub(crate) reviews: Vec<(String, bool, String)>,
    pub(crate) state: State,
    /// Kept when the branch is gone.
    pub(crate) head: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Merged { commit: String, by: String },
    Closed { by: String },
}

impl Pull {
    pub(crate) fn new(number: u64, branch: &str, title: &str, body: &str, head: String) -> Self {
        Self {
            number,
            branch: branch.to_owned(),
            title: title.to_owned(),
            body: body.to_owned(),
            labels: Vec::new(),
            comments: Vec::new(),
            reviews: Vec::new(),
            state: State::Open,
            head,
        }
    }
}

/// A file of a tree.
pub(crate) struct TreeFile {
    pub(crate) mode: String,
    pub(crate) kind: String,
    pub(crate) sha: String,
    pub(crate) size: Option<u64>,
    pub(crate) path: String,
}

impl Bare {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "."]);
        let bare = Self { folder };
        bare.write(files);
        bare
    }

    /// New files in `main`, as a person would make them.
    pub(crate) fn write(&self, files: &[(&str, &str)]) {
        commit(self.folder.path(), files, "By hand");
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(self.folder.path(), arguments).trim().to_owned()
    }

    fn tried(&self, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        let mut child = Command::new("git")
            .args(["-c", "user.name=forge", "-c", "user.email=forge@example.com"])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let out = child.wait_with_output().unwrap();
        out.status.success().then_some(out.stdout)
    }

    fn line(&self, arguments: &[&str], input: &[u8]) -> Option<String> {
        Some(String::from_utf8(self.tried(arguments, input)?).unwrap().trim().to_owned())
    }

    pub(crate) fn head(&self, branch: &str) -> Option<String> {
        self.line(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")], b"")
    }

    pub(crate) fn text(&self, commit: &str, path: &str) -> Option<String> {
        let found = self.tried(&["cat-file", "blob", &format!("{commit}:{path}")], b"")?;
        Some(String::from_utf8(found).unwrap())
    }

    pub(crate) fn blob_id(&self, commit: &str, path: &str) -> Option<String> {
        self.line(&["rev-parse", "--verify", "--quiet", &format!("{commit}:{path}")], b"")
    }

    pub(crate) fn bytes(&self, blob: &str) -> Option<Vec<u8>> {
        self.tried(&["cat-file", "blob", blob], b"")
    }

    pub(crate) fn make_blob(&self, bytes: &[u8]) -> String {
        self.line(&["hash-object", "-w", "--stdin"], bytes).unwrap()
    }

    pub(crate) fn tree(&self, of: &str) -> Option<Vec<TreeFile>> {
        let listed = self.line(&["ls-tree", "-r", "-t", "-l", of], b"")?;
        let file = |line: &str| {
            let (about, path) = line.split_once('\t').unwrap();
            let about: Vec<_> = about.split_whitespace().collect();
            let [mode, kind, sha, size] = about[..] else { panic!("{line}") };
            TreeFile {
                mode: mode.to_owned(),
                kind: kind.to_owned(),
                sha: sha.to_owned(),
                size: size.parse().ok(),
                path: path.to_owned(),
            }
        };
        Some(listed.lines().map(file).collect())
    }

    /// A tree like `base` but for these `(mode, blob, path)`.
    pub(crate) fn make_tree(&self, base: &str, entries: &[(String, String, String)]) -> String {
        // Of its own: several are made at one time.
        let index = self.folder.path().join(format!("index-{}", uuid::Uuid::new_v4()));
        let run = |arguments: &[&str], input: String| {
            let mut child = Command::new("git")
                .args(arguments)
                .current_dir(self.folder.path())
                .env("GIT_INDEX_FILE", &index)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let out = child.wait_with_output().unwrap();
            assert!(out.status.success(), "git {arguments:?}");
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        run(&["read-tree", base], String::new());
        let lines: String =
            entries.iter().map(|(mode, blob, path)| format!("{mode} {blob} 0\t{path}\n")).collect();
        run(&["update-index", "--index-info"], lines);
        run(&["write-tree"], String::new())
    }

    pub(crate) fn make_commit(&self, tree: &str, parents: &[&str], message: &str) -> String {
        let parents: Vec<&str> = parents.iter().flat_map(|parent| ["-p", *parent]).collect();
        self.line(&[&["commit-tree", tree, "-F", "-"][..], &parents].concat(), message.as_bytes()).unwrap()
    }

    /// Tree, parents and message.
    pub(crate) fn commit(&self, id: &str) -> Option<(String, Vec<String>, String)> {
        let text = self.line(&["cat-file", "commit", id], b"")?;
        let (head, message) = text.split_once("\n\n").unwrap();
        let of = |name: &str| -> Vec<String> {
            head.lines().filter_map(|line| line.strip_prefix(name)).map(ToOwned::to_owned).collect()
        };
        Some((of("tree ").remove(0), of("parent "), message.to_owned()))
    }

    /// Moves a branch, if it is where it is expected: absent when that is none.
    pub(crate) fn move_branch(&self, branch: &str, to: &str, expected: Option<&str>) -> bool {
        let name = format!("refs/heads/{branch}");
        self.tried(&["update-ref", &name, to, expected.unwrap_or(NOBODY)], b"").is_some()
    }

    /// A new file on top of a branch, as a person would commit it there; that commit.
    pub(crate) fn commit_to(&self, branch: &str, path: &str, text: &str) -> String {
        let head = self.head(branch).unwrap();
        let blob = self.make_blob(text.as_bytes());
        let tree = self.make_tree(&head, &[("100644".to_owned(), blob, path.to_owned())]);
        let id = self.make_commit(&tree, &[&head], "By a person");
        assert!(self.move_branch(branch, &id, Some(&head)));
        id
    }

    pub(crate) fn remove(&self, branch: &str) -> bool {
        self.head(branch).is_some()
            && self.tried(&["update-ref", "-d", &format!("refs/heads/{branch}")], b"").is_some()
    }

    pub(crate) fn merge_base(&self, a: &str, b: &str) -> Option<String> {
        self.line(&["merge-base", a, b], b"")
    }

    pub(crate) fn archive(&self, commit: &str) -> Option<Vec<u8>> {
        self.tried(&["archive", "--format=tar.gz", "--prefix=deploy-main/", commit], b"")
    }

    /// Merges a branch into `main`.
    pub(crate) fn merge(&self, branch: &str) -> String {
        let (main, head) = (self.head("main").unwrap(), self.head(branch).unwrap());
        let tree = self.git(&["merge-tree", "--write-tree", &main, &head]);
        let merge = self.make_commit(&tree, &[&main, &head], "Merge");
        assert!(self.move_branch("main", &merge, Some(&main)));
        merge
    }
}
