//! Runs the suite and reads what it found.

use std::{collections::BTreeSet, fmt, path::Path};

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
    /// Those that did not pass, failed ones first.
    others: Vec<Check>,
    printed: String,
}

struct Check {
    status: String,
    scenario: String,
    id: String,
    message: String,
}

impl Check {
    /// What matters comes first.
    fn rank(&self) -> usize {
        let order = ["FAILURE", "WARNING", "SKIPPED", "INFO"];
        order.iter().position(|status| *status == self.status).unwrap_or_default()
    }
}

impl fmt::Display for Outcome {
    /// The checks before the suite's own output, since who shows this may cut what is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} checks passed, {} failed", self.passed, self.failed)?;
        for Check { status, scenario, id, message } in &self.others {
            writeln!(f, "{status} {scenario}: {id}: {message}")?;
        }
        f.write_str(&self.printed)
    }
}

impl Outcome {
    /// The checks of this status, each once, by scenario and id.
    pub(super) fn of(&self, status: &str) -> BTreeSet<(&str, &str)> {
        let of = self.others.iter().filter(|check| check.status == status);
        of.map(|check| (check.scenario.as_str(), check.id.as_str())).collect()
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
        let output =
            program().args(of).arg("-o").arg(results.path()).args(self.arguments).output().await.unwrap();
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        let (passed, failed) = total(&printed).unwrap_or((0, usize::MAX));
        Outcome {
            exited_well: output.status.success(),
            passed,
            failed,
            others: others(results.path()),
            printed,
        }
    }
}

fn program() -> Command {
    let mut program = Command::new(parts::node());
    program
        .arg(parts::node_parts().join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .env("NO_COLOR", "1")
        .kill_on_drop(true);
    program
}

/// Every scenario for clients that a requirement set runs, scored or not.
pub(super) async fn client_scenarios(revision: &str) -> BTreeSet<String> {
    let output = program().args(["list", "--client", "--requirements", revision]).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let (_, clients) = printed.split_once("Client scenarios").expect("a section of clients");
    let lines = clients.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let of_client = |line: &str| match line.split_once(" [") {
        Some((name, whose)) => whose.starts_with("client").then(|| name.to_owned()),
        None => Some(line.to_owned()),
    };
    lines.filter_map(of_client).collect()
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

/// Every check that did not pass, from the files that the suite writes for each scenario.
fn others(results: &Path) -> Vec<Check> {
    let mut all = Vec::new();
    for scenario in std::fs::read_dir(results).unwrap() {
        let scenario = scenario.unwrap().path();
        let Ok(checks) = std::fs::read_to_string(scenario.join("checks.json")) else { continue };
        let checks: Vec<Value> = serde_json::from_str(&checks).unwrap();
        let folder = scenario.file_name().unwrap_or_default().to_string_lossy();
        for check in checks.iter().filter(|check| check["status"] != "SUCCESS") {
            let of = |member: &str| check[member].as_str().unwrap_or_default().to_owned();
            let name = folder[..folder.len().saturating_sub(WHEN.len())].to_owned();
            all.push(Check {
                status: of("status"),
                scenario: name,
                id: of("id"),
                message: of("errorMessage"),
            });
        }
    }
    all.sort_by(|a, b| (a.rank(), &a.scenario).cmp(&(b.rank(), &b.scenario)));
    all
}

/// How the names of their folders end.
const WHEN: &str = "-2026-01-31T12-00-00-000Z";
