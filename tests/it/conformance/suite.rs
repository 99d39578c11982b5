//! Runs the suite and reads what it found.

use std::{fmt, path::Path};

use serde_json::Value;
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
    failures: String,
    printed: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} checks passed, {} failed\n{}\n{}",
            self.passed, self.failed, self.printed, self.failures
        )
    }
}

impl Outcome {
    /// One line for every failed check, beginning with the scenario it belongs to.
    pub(super) fn failures(&self) -> impl Iterator<Item = &str> {
        self.failures.lines()
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

    /// Against the server at that address.
    pub(super) async fn run(self, url: &str) -> Outcome {
        self.run_with(["server", "--url", url]).await
    }

    /// Against the client that this program is.
    pub(super) async fn of_client(self, program: &Path) -> Outcome {
        self.run_with(["client", "--command", &program.display().to_string()]).await
    }

    async fn run_with(self, of: [&str; 3]) -> Outcome {
        let results = tempfile::tempdir().unwrap();
        let output = Command::new(parts::node())
            .arg(parts::node_parts().join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
            .args(of)
            .arg("-o")
            .arg(results.path())
            .args(self.arguments)
            .env("NO_COLOR", "1")
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        let (passed, failed) = total(&printed).unwrap_or((0, usize::MAX));
        Outcome {
            exited_well: output.status.success(),
            passed,
            failed,
            failures: failures(results.path()),
            printed,
        }
    }
}

/// The numbers of the line `Total: 83 passed, 0 failed`, or of a single scenario's `Passed: 2/2, 0 failed, …`.
fn total(printed: &str) -> Option<(usize, usize)> {
    let line =
        printed.lines().rev().find(|line| line.starts_with("Total:") || line.starts_with("Passed:"))?;
    let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    let passed = numbers.next()?;
    let mut rest = numbers.skip(usize::from(line.starts_with("Passed:")));
    Some((passed, rest.next()?))
}

/// Every failed check, one a line, from the files that the suite writes for each scenario.
fn failures(results: &Path) -> String {
    let mut all = String::new();
    for scenario in std::fs::read_dir(results).unwrap() {
        let scenario = scenario.unwrap().path();
        let Ok(checks) = std::fs::read_to_string(scenario.join("checks.json")) else { continue };
        let checks: Vec<Value> = serde_json::from_str(&checks).unwrap();
        for check in checks.iter().filter(|check| check["status"] == "FAILURE") {
            let name = scenario.file_name().unwrap_or_default().to_string_lossy();
            all.push_str(&format!("{name}: {}: {}\n", check["id"], check["errorMessage"]));
        }
    }
    all
}
