//! The policies of this installation: CEL over the rendered objects. Compiled when the configuration is read, judged
//! with bounded size, nesting and time.
//!
//! ```yaml
//! changes:
//!   policies:
//!   - name: no-latest
//!     match: {kinds: [Deployment, StatefulSet.apps], namespaces: [shop, "team-*"]}   # both: absent means all
//!     expression: object.spec.template.spec.containers.all(c, !c.image.endsWith(':latest'))
//!     message: give every image a tag
//! ```
//!
//! `object` is the object as it will be, `oldObject` as it was (`null` for a new one). What is refused: an expression
//! that is not true, and one that cannot be evaluated, as a ValidatingAdmissionPolicy with `failurePolicy: Fail` does.
//! CEL's own functions are there; those that Kubernetes adds (`quantity`, `url`, `isSorted`...) are not.

mod expression;
mod matching;

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use self::{expression::{Expression, Verdict}, matching::Matching};
use super::{Check, Outcome, pairs::Pair};

/// For all objects of one policy.
const DEADLINE: Duration = Duration::from_secs(2);

/// One policy that compiles.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Policy {
    name: String,
    matching: Matching,
    expression: Expression,
    message: String,
}

/// As it stands in the configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(rename = "match", default)]
    matching: Matching,
    expression: String,
    message: String,
}

impl TryFrom<Written> for Policy {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { name, matching, expression, message } = written;
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 63 || !name.chars().all(word) {
            return Err(format!("{name:?} is no name of a policy; use letters, digits and dashes"));
        }
        if message.trim().is_empty() {
            return Err(format!("policy {name} has no message: say what to do instead"));
        }
        let expression = Expression::compile(&expression)
            .map_err(|why| format!("the expression of policy {name} {why}"))?;
        Ok(Self { name, matching, expression, message })
    }
}

/// All of them, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::changes) struct Policies(Vec<Policy>);

impl Policies {
    pub(in crate::changes) fn new(policies: Vec<Policy>) -> Self {
        Self(policies)
    }

    /// One check for each policy that is about any of the objects.
    pub(super) async fn judge(&self, pairs: &[Pair<'_>]) -> Vec<Check> {
        let mut checks = Vec::new();
        for policy in &self.0 {
            let met: Vec<_> = pairs.iter().filter(|pair| policy.matching.meets(pair)).collect();
            if !met.is_empty() {
                checks.push(policy.judge(&met).await);
            }
        }
        checks
    }
}

impl Policy {
    async fn judge(&self, pairs: &[&Pair<'_>]) -> Check {
        let objects: Vec<(String, Value, Value)> = pairs
            .iter()
            .filter_map(|pair| {
                let old = pair.before.cloned().unwrap_or(Value::Null);
                Some((pair.words(), pair.after?.clone(), old))
            })
            .collect();
        let count = objects.len();
        let expression = self.expression.clone();
        // On a thread of its own: whoever waits for it does not wait longer than the deadline.
        let judged = tokio::task::spawn_blocking(move || -> Vec<(String, Verdict)> {
            objects.into_iter().map(|(words, new, old)| (words, expression.judge(&new, &old))).collect()
        });
        let name = format!("policy {}", self.name);
        match tokio::time::timeout(DEADLINE, judged).await {
            Ok(Ok(verdicts)) => self.told(&name, &verdicts, count),
            Ok(Err(error)) => Check::new(&name, Outcome::Failed, format!("it was not judged ({error})")),
            Err(_) => Check::new(
                &name,
                Outcome::Failed,
                format!("its expression takes longer than {} s: make it simpler", DEADLINE.as_secs()),
            ),
        }
    }

    fn told(&self, name: &str, verdicts: &[(String, Verdict)], count: usize) -> Check {
        let wrong: Vec<String> = verdicts
            .iter()
            .filter_map(|(words, verdict)| match verdict {
                Verdict::True => None,
                Verdict::False => Some(format!("{words}: {}", self.message)),
                Verdict::Unknown(why) => Some(format!("{words}: it cannot be judged ({why})")),
            })
            .collect();
        if wrong.is_empty() {
            return Check::new(name, Outcome::Passed, crate::answer::counted(count, "object"));
        }
        Check::new(name, Outcome::Failed, wrong.join("; "))
    }
}

#[cfg(test)]
mod tests;
