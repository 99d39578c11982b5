//! `propose_change`: what a call says becomes a [`Proposal`]; `changes` does the rest.

mod about;
mod alert;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use self::about::{About, AlertName};
use super::{
    Changes, Modification, Proposal, Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, text},
    desk::Office,
    modification::{self, FORMS, Forms, together},
};
use crate::{answer::Answer, caller::Caller};

pub(super) struct ProposeChange {
    /// For what an alert or a finding is about, read as the caller.
    pub(super) office: Office,
    pub(super) changes: Arc<dyn Changes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    alert: Option<AlertName>,
    finding: Option<String>,
    edits: Option<Map<String, Value>>,
    merge_patch: Option<Value>,
    strategic_patch: Option<Value>,
    json_patch: Option<Vec<Value>>,
    replicas: Option<u32>,
    reason: String,
    repository: Option<String>,
}

impl Tool for ProposeChange {
    fn definition(&self) -> Value {
        Definition {
            name: "propose_change",
            title: "Propose change",
            description: "Use this to have an object changed: finds its manifest in the configured Git repository, edits it, checks the result and opens a pull request (or pushes a branch) for a person to review. Nothing in the cluster is touched. Name the object (kind and name, or an alert, or a finding of diagnose) and exactly one of edits, merge_patch, strategic_patch, json_patch, replicas. Asking the same again returns the same change.",
            properties: together([
                Map::from_iter([
                    ("kind".to_owned(), text("kind as in the manifest: Deployment")),
                    ("namespace".to_owned(), text("absent for kinds without namespaces")),
                    ("name".to_owned(), text("name of the object")),
                    ("alert".to_owned(), json!({ "type": "object", "description": ALERT })),
                    ("finding".to_owned(), text("instead of kind and name: id of diagnose")),
                ]),
                modification::schema(),
                Map::from_iter([
                    ("reason".to_owned(), text("why, for the reviewer; becomes the commit message")),
                    ("repository".to_owned(), text("needed if several hold the object")),
                ]),
            ]),
            required: &["reason"],
            effect: Effect::Proposes,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.propose(caller, arguments))
    }
}

impl ProposeChange {
    async fn propose(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        // `null` in `edits` removes a field and is no absent argument: only those of the call itself are.
        let Parsed { arguments, request: _ } = arguments::parse::<Arguments>(&self.definition(), raw)?;
        let Asked { about, change, reason, repository } = asked(arguments).map_err(Answer::error)?;
        let about = match about {
            Named::Object(about) => about,
            Named::Alert(alert) => about::of_alert(&self.office.desk(caller, None).await?, &alert).await?,
            Named::Finding { id, namespace } => {
                about::of_finding(&self.office.desk(caller, None).await?, &id, namespace).await?
            }
        };
        let About { kind, namespace, name, evidence, hint } = about;
        let Some(change) = change else {
            return Err(Answer::error(format!(
                "say what is to change of {kind} {name} with one of {}{hint}",
                FORMS.join(", ")
            )));
        };
        let reason = [reason, evidence].join("\n\n").trim_end().to_owned();
        let proposal = Proposal { kind, namespace, name, change, reason, repository };
        Ok(self.changes.propose(caller, proposal).await)
    }
}

const ALERT: &str = "instead of kind and name: {\"name\": ..., \"labels\": {\"namespace\": ..., \"pod\": ...}} of list_alerts; a pod's workload is found";

/// A call that names one object and at most one change.
struct Asked {
    about: Named,
    /// Absent only where the answer can say more: what a finding would have changed.
    change: Option<Modification>,
    reason: String,
    repository: Option<String>,
}

enum Named {
    Object(About),
    Alert(AlertName),
    Finding { id: String, namespace: Option<String> },
}

/// # Errors
/// One sentence that says what to give instead.
fn asked(arguments: Arguments) -> Result<Asked, String> {
    let Arguments {
        kind,
        namespace,
        name,
        alert,
        finding,
        edits,
        merge_patch,
        strategic_patch,
        json_patch,
        replicas,
        reason,
        repository,
    } = arguments;
    let about = match (kind, name, alert, finding) {
        (Some(kind), Some(name), None, None) => Named::Object(About::object(kind, namespace, name)),
        (None, None, Some(alert), None) => Named::Alert(alert),
        (None, None, None, Some(id)) => Named::Finding { id, namespace },
        _ => {
            return Err(
                "name one object: `kind` and `name` (with `namespace`), or an `alert`, or a `finding`"
                    .to_owned(),
            );
        }
    };
    let change = Forms { edits, merge_patch, strategic_patch, json_patch, replicas }.one()?;
    if change.is_none() && matches!(about, Named::Object(_)) {
        return Err(format!("say what is to change with one of {}", FORMS.join(", ")));
    }
    Ok(Asked { about, change, reason, repository })
}
