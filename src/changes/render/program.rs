//! A renderer's program: configured, or found on PATH.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use tokio::sync::OnceCell;

use super::{RenderError, Workspace, process::Run};

#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    /// Commands with their first arguments; the first that is there is taken.
    commands: Vec<Vec<String>>,
    /// What is to be installed when none is.
    known: &'static str,
    /// Its own words.
    version: OnceCell<String>,
}

impl Program {
    pub(super) fn kustomize(configured: Vec<String>) -> Self {
        let usual = [["kustomize", "build"], ["kubectl", "kustomize"]];
        let usual = usual.map(|command| command.map(str::to_owned).to_vec()).to_vec();
        Self::new("kustomize", configured, usual, "kustomize or kubectl")
    }

    pub(super) fn helm(configured: Vec<String>) -> Self {
        Self::new("helm", configured, vec![vec!["helm".to_owned()]], "helm")
    }

    fn new(
        name: &'static str,
        configured: Vec<String>,
        usual: Vec<Vec<String>>,
        known: &'static str,
    ) -> Self {
        let commands = if configured.is_empty() { usual } else { vec![configured] };
        Self { name, commands, known, version: OnceCell::new() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The program's file and its first arguments.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn command(&self) -> Result<(PathBuf, Vec<String>), RenderError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = self.commands.iter().find_map(|command| {
            let (program, arguments) = command.split_first()?;
            Some((find(program, &path)?, arguments.to_vec()))
        });
        found.ok_or(RenderError::NoProgram { what: self.name, known: self.known })
    }

    /// Asked once.
    pub(super) async fn version(&self, workspace: &Workspace) -> String {
        let asked = self.version.get_or_try_init(|| async {
            let (file, mut arguments) = self.command()?;
            let last = arguments.pop();
            arguments.push("version".to_owned());
            if last.as_deref() == Some("kustomize") {
                // kubectl names the cluster's version as well unless it is told not to.
                arguments.push("--client".to_owned());
            } else if self.name == "helm" {
                arguments.splice(0..0, last);
                arguments.push("--short".to_owned());
            }
            let arguments = arguments.into_iter().map(OsString::from).collect();
            let out = Run { name: self.name, file: &file, arguments, workspace }.output().await?;
            Ok::<_, RenderError>(said(self.name, &String::from_utf8_lossy(&out)))
        });
        asked.await.cloned().unwrap_or_else(|error| {
            tracing::debug!(%error, "{} does not say its version", self.name);
            self.name.to_owned()
        })
    }
}

/// `kustomize v5.7.1` of `Client Version: v1.34.0\nKustomize Version: v5.7.1`.
fn said(name: &str, text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("Kustomize Version:"));
    let line = line.or_else(|| text.lines().next()).unwrap_or_default().trim();
    let line: String = line.chars().filter(|c| !c.is_control()).take(60).collect();
    format!("{name} {line}").trim().to_owned()
}

/// As a shell finds it.
fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    if program.contains('/') {
        let file = Path::new(program);
        // The working folder is another one when it runs.
        return std::path::absolute(file).ok().filter(|file| file.is_file());
    }
    env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file() && file.is_absolute())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Program, find, said};

    #[test]
    fn a_version_is_one_line() {
        assert_eq!(
            said("kustomize", "Client Version: v1.34.0\nKustomize Version: v5.7.1\n"),
            "kustomize v5.7.1"
        );
        assert_eq!(said("helm", "v3.22.0+g1\n"), "helm v3.22.0+g1");
    }

    #[test]
    fn what_is_configured_is_the_only_choice() {
        let missing = Program::helm(vec!["/nowhere/helm".into()]);
        let said = missing.command().unwrap_err().to_string();
        assert!(said.contains("install helm") && said.contains("changes.renderers.helm"), "{said}");
        assert!(find("sh", std::ffi::OsStr::new("/nowhere:/bin:/usr/bin")).is_some());
    }
}
