//! From the ways in which a change can be said to the one that all that follows takes: field edits. Pure.
//!
//! A patch becomes edits of what it *names*, whether the object has it already or not: the live object may have it and
//! Git may not. The object is read to tell list items apart, to test, and to learn what a removal leaves.

mod json;
mod merge;
mod strategic;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::{
    edit::Edit,
    path::{FieldPath, Step},
    schema::{ListKind, Node, built_in},
};
use crate::tools::{Live, Modification};

/// The edits that the modification stands for, in its own order.
///
/// # Errors
/// One sentence, when it is no patch, its tests fail, or it cannot be told what it means without the object.
pub(super) fn edits(change: Modification, kind: &str, live: Option<&Live>) -> Result<Vec<Edit>, String> {
    let base = live.map_or(Base::Unknown, |live| Base::There(&live.object));
    let schema = live.and_then(|live| live.schema.as_deref()).map(Node::root);
    match change {
        Modification::Edits(edits) => edits
            .into_iter()
            .map(|(path, new)| {
                let path: FieldPath = path.parse().map_err(|error| format!("{error}"))?;
                Ok(Edit { path, new })
            })
            .collect(),
        Modification::MergePatch(patch) => merge::edits(&patch, base),
        Modification::StrategicPatch(patch) => strategic::edits(&patch, base, schema),
        Modification::JsonPatch(operations) => json::edits(operations, base, schema),
        Modification::Replicas(count) => replicas(count, kind),
    }
}

/// What stands at a place of the object that a patch is for.
#[derive(Clone, Copy, Debug)]
enum Base<'v> {
    /// There is no object to look at.
    Unknown,
    Missing,
    There(&'v Value),
}

impl<'v> Base<'v> {
    /// `null` in an object is as good as nothing.
    fn of(value: Option<&'v Value>) -> Self {
        value.filter(|value| !value.is_null()).map_or(Base::Missing, Base::There)
    }

    fn key(self, key: &str) -> Self {
        match self {
            Base::Unknown => Base::Unknown,
            Base::Missing => Base::Missing,
            Base::There(value) => Self::of(value.get(key)),
        }
    }
}

/// Where a walk through a patch is.
#[derive(Clone)]
struct Here<'v> {
    steps: Vec<Step>,
    base: Base<'v>,
    /// What is documented of this place, where anything is.
    schema: Option<Node<'v>>,
}

impl Here<'_> {
    fn edit(&self, new: Value) -> Result<Edit, String> {
        let path = FieldPath::of(self.steps.clone())
            .ok_or("a patch that stands for the whole object is none: name the fields that are to change")?;
        Ok(Edit { path, new })
    }

    /// The key of the mapping or list that this place is in.
    fn above(&self) -> &str {
        let keys = self.steps.iter().rev().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) | Step::Select { .. } => None,
        });
        keys.into_iter().next().unwrap_or_default()
    }

    /// How a list at `key` is merged.
    fn list_at(&self, key: &str) -> ListKind {
        let documented = self.schema.map(|schema| schema.list_at(key));
        documented.unwrap_or_else(|| built_in(self.above(), key))
    }

    fn path(&self) -> String {
        FieldPath::of(self.steps.clone()).map_or_else(|| "the object".to_owned(), |path| path.to_string())
    }
}

impl<'v> Here<'v> {
    fn top(base: Base<'v>, schema: Option<Node<'v>>) -> Self {
        Self { steps: Vec::new(), base, schema }
    }

    fn below(&self, step: Step, base: Base<'v>, schema: Option<Node<'v>>) -> Self {
        let steps = self.steps.iter().cloned().chain([step]).collect();
        Self { steps, base, schema }
    }

    fn key(&self, key: &str) -> Self {
        let schema = self.schema.and_then(|schema| match schema.field(key) {
            super::schema::Below::Known(node) => Some(node),
            super::schema::Below::Open | super::schema::Below::Unknown(_) => None,
        });
        self.below(Step::Key(key.to_owned()), self.base.key(key), schema)
    }
}

/// A value as it stands in a selection: `[port=80]`.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Without what removes: nulls, and what else `is_told` says.
fn without(value: &Value, is_told: fn(&str) -> bool) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, value)| !value.is_null() && !is_told(key));
            Value::Object(kept.map(|(key, value)| (key.clone(), without(value, is_told))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| without(item, is_told)).collect()),
        other => other.clone(),
    }
}

fn mapping<'v>(patch: &'v Value, what: &str) -> Result<&'v Map<String, Value>, String> {
    patch.as_object().filter(|fields| !fields.is_empty()).ok_or_else(|| {
        format!("the {what} is not a mapping with the fields to change: write it like {}", json!({ "spec": { "paused": true } }))
    })
}

fn replicas(count: u32, kind: &str) -> Result<Vec<Edit>, String> {
    let instead = match kind {
        "HorizontalPodAutoscaler" => "set spec.minReplicas or spec.maxReplicas with `edits`",
        "DaemonSet" => "it runs one pod on each node that it selects",
        "Job" => "set spec.parallelism with `edits`",
        "Pod" | "CronJob" | "ConfigMap" | "Service" | "Ingress" => "name the workload that makes the pods",
        _ => {
            let path = FieldPath::of(vec![Step::Key("spec".to_owned()), Step::Key("replicas".to_owned())]);
            return Ok(path.into_iter().map(|path| Edit { path, new: json!(count) }).collect());
        }
    };
    Err(format!("a {kind} has no number of replicas: {instead}"))
}
