//! Runs the suite and reads what it found.

use std::fmt;

use tokio::process::Command;

use crate::parts;

pub(super) struct Suite {
    arguments: Vec<String>,
}

/// What one run found.
pub(super) struct Outcome {
    /// Exit code 0: every scored scenario passed.
    pub(super) exited_well: bool,
    /// Checks.
    pub(super) passed: usize,
    pub(super) failed: usize,
    printed: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} checks passed, {} failed\n{}", self.passed, self.failed, self.printed)
    }
}

impl Suite {
    /// A whole requirement set; nothing is expected to fail.
    pub(super) fn requirements(revision: &str) -> Self {
        Self { arguments: vec!["--requirements".to_owned(), revision.to_owned()] }
    }

    pub(super) fn scenario(name: &str, revision: &str) -> Self {
        let arguments = ["--scenario", name, "--spec-version", revision];
        Self { arguments: arguments.map(str::to_owned).to_vec() }
    }

    pub(super) async fn run(self, url: &str) -> Outcome {
        let results = tempfile::tempdir().unwrap();
        let output = Command::new(parts::node())
            .arg(parts::node_parts().join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
            .args(["server", "--url", url, "-o"])
            .arg(results.path())
            .args(self.arguments)
            .env("NO_COLOR", "1")
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        let count = |words: &str| {
            let line = printed.lines().rev().find(|line| line.contains(words))?;
            line.split_whitespace().find_map(|word| word.parse().ok())
        };
        Outcome {
            exited_well: output.status.success(),
            passed: count("passed").unwrap_or(0),
            failed: count("failed").unwrap_or(usize::MAX),
            printed,
        }
    }
}
