//! `propose_change`: what a call says becomes a [`Proposal`]; `changes` does the rest.

mod about;
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
            properties: json!({
                "kind": text("kind as in the manifest: Deployment"),
                "namespace": text("absent for kinds without namespaces"),
                "name": text("name of the object"),
                "alert": { "type": "object", "description": "instead of kind and name: {\"name\": ..., \"labels\": {\"namespace\": ..., \"pod\": ...}} of list_alerts" },
                "finding": text("instead of kind and name: id of diagnose"),
                "edits": { "type": "object",
                    "description": "new value by field path, null removes: {\"spec.template.spec.containers[name=web].resources.limits.memory\": \"256Mi\"}" },
                "merge_patch": { "type": "object", "description": "RFC 7386" },
                "strategic_patch": { "type": "object", "description": "as of kubectl patch" },
                "json_patch": { "type": "array", "items": { "type": "object" }, "description": "RFC 6902" },
                "replicas": { "type": "integer", "minimum": 0, "description": "number of pods" },
                "reason": text("why, for the reviewer; becomes the commit message"),
                "repository": text("needed if several hold the object"),
            }),
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
                WAYS.join(", ")
            )));
        };
        let reason = [reason, evidence].join("\n\n").trim_end().to_owned();
        let proposal = Proposal { kind, namespace, name, change, reason, repository };
        Ok(self.changes.propose(caller, proposal).await)
    }
}

const WAYS: [&str; 5] = ["edits", "merge_patch", "strategic_patch", "json_patch", "replicas"];

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
                "name one object: `kind` and `name` (with `namespace`), or an `alert`, or a `finding`".to_owned()
            );
        }
    };
    if edits.as_ref().is_some_and(Map::is_empty) {
        return Err(
            "`edits` of propose_change is empty: name at least one field path and its new value".to_owned()
        );
    }
    let ways: Vec<(&str, Modification)> = [
        edits.map(|edits| Modification::Edits(edits.into_iter().collect())),
        merge_patch.map(Modification::MergePatch),
        strategic_patch.map(Modification::StrategicPatch),
        json_patch.map(Modification::JsonPatch),
        replicas.map(Modification::Replicas),
    ]
    .into_iter()
    .zip(WAYS)
    .filter_map(|(given, way)| given.map(|given| (way, given)))
    .collect();
    let given: Vec<&str> = ways.iter().map(|(way, _)| *way).collect();
    if given.len() > 1 {
        return Err(format!("give one of {}, not {}: one change has one form", WAYS.join(", "), given.join(" and ")));
    }
    let change = ways.into_iter().next().map(|(_, change)| change);
    if change.is_none() && matches!(about, Named::Object(_)) {
        return Err(format!("say what is to change with one of {}", WAYS.join(", ")));
    }
    Ok(Asked { about, change, reason, repository })
}
