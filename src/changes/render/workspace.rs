//! A private copy of a repository's files for renderers, which goes with its value.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
};

use tempfile::TempDir;

use crate::changes::source::Files;

#[derive(Debug)]
pub(in crate::changes) struct Workspace {
    folder: TempDir,
    /// What stands in the copy now.
    written: BTreeMap<String, String>,
}

impl Workspace {
    pub(super) fn new(work: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("git-render-").tempdir_in(work)?;
        let workspace = Self { folder, written: BTreeMap::new() };
        fs::create_dir(workspace.home())?;
        fs::create_dir(workspace.root())?;
        Ok(workspace)
    }

    /// Makes the copy hold these files and no others.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub(in crate::changes) fn hold(&mut self, files: &Files) -> io::Result<()> {
        let gone: Vec<_> = self.written.keys().filter(|path| !files.contains_key(*path)).cloned().collect();
        for path in gone {
            fs::remove_file(self.path(&path))?;
            self.written.remove(&path);
        }
        for (path, text) in files.iter().filter(|(path, _)| is_inside(path)) {
            if self.written.get(path) == Some(text) {
                continue;
            }
            let at = self.path(path);
            if let Some(folder) = at.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(at, text)?;
            self.written.insert(path.clone(), text.clone());
        }
        Ok(())
    }

    /// Where a path of the repository is in the copy.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        if is_inside(path) || path.is_empty() { self.root().join(path) } else { self.home().join("none") }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// For what a program writes beside the copy.
    pub(super) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A program's words without where the copy is.
    pub(super) fn unplaced(&self, text: &str) -> String {
        let root = self.root().display().to_string();
        let real = fs::canonicalize(self.root()).unwrap_or_default().display().to_string();
        text.replace(&format!("{root}/"), "").replace(&root, ".").replace(&format!("{real}/"), "")
    }
}

/// Whether a repository's path stays in the copy.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(name) if name != ".git"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Files, Workspace, fs};

    #[test]
    fn holds_exactly_what_it_is_given_and_nothing_outside() {
        let work = tempfile::tempdir().unwrap();
        let mut workspace = Workspace::new(work.path()).unwrap();
        let files =
            |names: &[&str]| -> Files { names.iter().map(|n| ((*n).into(), "x: 1\n".into())).collect() };
        workspace.hold(&files(&["a/b.yaml", "c.yaml", "../out.yaml", "/abs.yaml", ".git/config"])).unwrap();
        assert!(workspace.path("a/b.yaml").is_file() && workspace.path("c.yaml").is_file());
        assert_eq!(fs::read_dir(workspace.root()).unwrap().count(), 2);
        assert!(!work.path().join("out.yaml").exists());
        workspace.hold(&files(&["c.yaml"])).unwrap();
        assert!(!workspace.path("a/b.yaml").exists() && workspace.path("c.yaml").is_file());
        let said = format!("open {}/c.yaml: no", workspace.root().display());
        assert_eq!(workspace.unplaced(&said), "open c.yaml: no");
    }
}
