//! What is asked of a change before a person is: does the API server's schema take the rendered objects, do the
//! policies of this installation, would the API server itself. Decisions are in [`schema`] and [`policy`], which are
//! pure; the cluster is behind [`ClusterChecks`].
//!
//! A check that failed stops the change. One that could not be made is shown as such and stops nothing.

mod against_schema;
mod pairs;
pub(super) mod policy;

use futures::future::join_all;
use serde_json::Value;

use self::{pairs::Pair, policy::Policies};
use crate::{
    caller::Caller,
    redact,
    tools::{ClusterChecks, DryRun},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    NotRun,
}

/// One check, over all objects of the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// `schema`, `policy no-latest`, `dry-run`.
    pub(super) name: String,
    pub(super) outcome: Outcome,
    /// One sentence or a few, without secrets.
    pub(super) said: String,
}

impl Check {
    fn new(name: &str, outcome: Outcome, said: impl AsRef<str>) -> Self {
        let said = redact::shown(said.as_ref());
        Self { name: name.to_owned(), outcome, said: shortened(&said) }
    }
}

/// What stops the change: the sentences of the checks that failed.
pub(super) fn stopped(checks: &[Check]) -> Option<String> {
    let failed: Vec<String> = checks
        .iter()
        .filter(|check| check.outcome == Outcome::Failed)
        .map(|check| format!("the check {} failed: {}", check.name, check.said))
        .collect();
    if failed.is_empty() { None } else { Some(failed.join("; ")) }
}

/// Of what one check says; the API server's own words may be long.
const LONGEST: usize = 600;
/// Objects that are dry-run at the same time.
const AT_ONCE: usize = 4;
/// Objects that are checked; a change of more is not one that a person reviews.
const MOST: usize = 50;

/// Runs all checks over the rendered objects that differ. `cluster` is absent where there is none.
pub(super) async fn run(
    cluster: Option<&dyn ClusterChecks>,
    policies: &Policies,
    caller: &Caller,
    before: &[Value],
    after: &[Value],
) -> Vec<Check> {
    let pairs = pairs::of(before, after);
    if pairs.len() > MOST {
        let said = format!("{} objects change, more than the {MOST} that are checked at once", pairs.len());
        return vec![Check::new("size", Outcome::Failed, said)];
    }
    let mut checks = vec![schema(cluster, caller, &pairs).await];
    checks.extend(policies.judge(&pairs).await);
    checks.push(dry_run(cluster, &pairs).await);
    checks
}

const NO_CLUSTER: &str = "there is no cluster to ask";

async fn schema(cluster: Option<&dyn ClusterChecks>, caller: &Caller, pairs: &[Pair<'_>]) -> Check {
    let name = "schema";
    let Some(cluster) = cluster else { return Check::new(name, Outcome::NotRun, NO_CLUSTER) };
    let (mut wrong, mut unknown, mut old, mut good) = (Vec::new(), Vec::new(), 0, 0);
    for pair in pairs {
        let Some(after) = pair.after else { continue };
        let (version, kind) = pair.api();
        match cluster.schema(caller, version, kind).await {
            Ok(Some(schema)) => match against_schema::judge(&schema, pair.before, after) {
                Ok(found) => {
                    old += found.old;
                    good += usize::from(found.new.is_empty());
                    wrong.extend(found.new.into_iter().map(|said| format!("{}: {said}", pair.words())));
                }
                Err(why) => unknown.push(format!("{}: {why}", pair.words())),
            },
            Ok(None) => unknown.push(format!("{}: nothing documents {kind} of {version}", pair.words())),
            Err(why) => unknown.push(format!("{}: {why}", pair.words())),
        }
    }
    let before = if old > 0 {
        format!("; {old} faults that were there before are not this change's")
    } else {
        String::new()
    };
    if !wrong.is_empty() {
        return Check::new(name, Outcome::Failed, format!("{}{before}", wrong.join("; ")));
    }
    if !unknown.is_empty() {
        return Check::new(name, Outcome::NotRun, unknown.join("; "));
    }
    let said = format!("{} as the API server documents them{before}", crate::answer::counted(good, "object"));
    Check::new(name, Outcome::Passed, said)
}

async fn dry_run(cluster: Option<&dyn ClusterChecks>, pairs: &[Pair<'_>]) -> Check {
    let name = "dry-run";
    let Some(cluster) = cluster else {
        return Check::new(name, Outcome::NotRun, format!("not dry-run: {NO_CLUSTER}"));
    };
    let asked: Vec<_> = pairs.iter().filter_map(|pair| Some((pair, pair.after?))).collect();
    let mut answers: Vec<(String, DryRun)> = Vec::with_capacity(asked.len());
    for some in asked.chunks(AT_ONCE) {
        let answered = join_all(some.iter().map(|(pair, after)| cluster.dry_run(pair.before, after))).await;
        answers.extend(some.iter().map(|(pair, _)| pair.words()).zip(answered));
    }
    told(&answers, name)
}

fn told(answers: &[(String, DryRun)], name: &str) -> Check {
    let (mut refused, mut not_run, mut warned, mut good) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (object, answer) in answers {
        match answer {
            DryRun::Accepted { warnings } => {
                good += 1;
                warned.extend(warnings.iter().map(|warning| format!("{object}: {warning}")));
            }
            DryRun::Refused { said } => refused.push(format!("{object}: {said}")),
            DryRun::NotRun { why } => not_run.push(format!("{object}: {why}")),
        }
    }
    if !refused.is_empty() {
        return Check::new(name, Outcome::Failed, format!("the API server refuses it: {}", refused.join("; ")));
    }
    if !not_run.is_empty() {
        return Check::new(name, Outcome::NotRun, format!("not dry-run: {}", not_run.join("; ")));
    }
    let warned =
        if warned.is_empty() { String::new() } else { format!(", with warnings: {}", warned.join("; ")) };
    let said = format!("the API server takes {}{warned}", crate::answer::counted(good, "object"));
    Check::new(name, Outcome::Passed, said)
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
