//! The edits of one intent, checked together: what is never changed through Git, what is in each other's way, what the
//! kind does not have. Pure.

use serde_json::Value;

use super::{
    edit::Edit,
    identity::Target,
    path::{FieldPath, Located, Step},
    schema::{Below, Node, Unknown},
    shown,
};
use crate::tools::Live;

const MOST_EDITS: usize = 50;

/// The edits without those that say the same twice.
///
/// # Errors
/// One sentence, for the first that cannot be made or is in another's way.
pub(super) fn checked(edits: Vec<Edit>, live: Option<&Live>) -> Result<Vec<Edit>, String> {
    if edits.is_empty() || edits.len() > MOST_EDITS {
        return Err(format!("give between 1 and {MOST_EDITS} field edits, each a path and its new value"));
    }
    let mut kept: Vec<Edit> = Vec::with_capacity(edits.len());
    for edit in edits {
        let Edit { path, new } = &edit;
        if shown::holds_placeholder(new) || shown::holds_placeholder(&Value::from(path.to_string())) {
            return Err(format!(
                "the edit of {path} holds `<redacted:…>`, which stands in for a secret and is no value: name only the fields that are to change, or refer to a Secret with secretKeyRef"
            ));
        }
        if let Some(quoted) = path.unquoted() {
            return Err(format!(
                "{path} goes deeper than the keys of a map of texts: if the dots belong to the key, write {quoted}"
            ));
        }
        if let Some(why) = never(path) {
            return Err(format!("{path} {why}"));
        }
        match kept.iter().find(|other| meet(&other.path, path, live)) {
            Some(other) if other.path == *path && other.new == *new => {}
            Some(other) => {
                return Err(format!(
                    "the edits of {} and {path} are in each other's way; give one edit for both",
                    other.path
                ));
            }
            None => kept.push(edit),
        }
    }
    Ok(kept)
}

/// Whether one of the two is the other or lies inside it; in the object `[0]` may be `[name=web]`.
fn meet(one: &FieldPath, other: &FieldPath, live: Option<&Live>) -> bool {
    if one.overlaps(other) {
        return true;
    }
    let located = |path: &FieldPath| -> Option<Vec<Located>> {
        live.and_then(|live| path.locate(&live.object).ok()).map(|place| place.steps)
    };
    match (located(one), located(other)) {
        (Some(one), Some(other)) => one.starts_with(&other) || other.starts_with(&one),
        _ => false,
    }
}

/// Whether the kind has the fields, and whether something else sets them.
///
/// # Errors
/// One sentence with the nearest field that there is, or with what to change instead.
pub(super) fn fit(edits: &[Edit], target: &Target, live: &Live) -> Result<(), String> {
    let Live { object: _, schema, scaler } = live;
    for Edit { path, new } in edits {
        if let (Some(scaler), "spec.replicas") = (scaler, path.to_string().as_str()) {
            return Err(format!(
                "the HorizontalPodAutoscaler {scaler} sets the number of pods of {target}, so spec.replicas would be undone: change spec.minReplicas or spec.maxReplicas of the HorizontalPodAutoscaler instead"
            ));
        }
        // What is not documented may still be taken away.
        if let Some(schema) = schema.as_deref().filter(|_| !new.is_null()) {
            known(path, new, Node::root(schema)).map_err(|unknown| unknown.told(&target.kind))?;
        }
    }
    Ok(())
}

/// # Errors
/// The first field of the path, or of what is to stand there, that the kind does not have.
fn known(path: &FieldPath, new: &Value, root: Node<'_>) -> Result<(), Unknown> {
    let mut node = root;
    for (depth, step) in path.steps().iter().enumerate() {
        let below = match step {
            Step::Key(key) => match node.field(key) {
                Below::Known(below) => Some(below),
                Below::Open => None,
                Below::Unknown(known) => return Err(Unknown::new(&prefix(path, depth), key, &known)),
            },
            Step::Index(_) | Step::Select { .. } => node.items(),
        };
        let Some(below) = below else { return Ok(()) };
        node = below;
    }
    let mut unknown = Vec::new();
    node.unknown_in(new, &path.to_string(), &mut unknown);
    unknown.into_iter().next().map_or(Ok(()), Err)
}

fn prefix(path: &FieldPath, depth: usize) -> String {
    FieldPath::of(path.steps()[..depth].to_vec()).map_or_else(String::new, |path| path.to_string())
}

/// Why a field is not changed through Git.
fn never(path: &FieldPath) -> Option<&'static str> {
    let keys: Vec<_> = path
        .steps()
        .iter()
        .take(2)
        .map(|step| match step {
            Step::Key(key) => key.as_str(),
            Step::Index(_) | Step::Select { .. } => "",
        })
        .collect();
    match keys.as_slice() {
        ["kind" | "apiVersion" | "metadata"] | ["metadata", "name" | "namespace"] => {
            Some("says which object this is; changing it would make another object")
        }
        ["status", ..] => Some("is written by the cluster and does not stand in Git"),
        ["metadata", "uid" | "resourceVersion" | "generation" | "managedFields" | "creationTimestamp"] => {
            Some("is written by the cluster and does not stand in Git")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{Edit, Live, checked, fit};
    use crate::changes::identity::Target;

    fn live() -> Live {
        let schema = json!({ "type": "object", "properties": {
            "apiVersion": {}, "kind": {}, "metadata": { "properties": { "labels": { "additionalProperties": {} } } },
            "spec": { "properties": { "replicas": { "type": "integer" }, "paused": { "type": "boolean" },
                "containers": { "type": "array", "items": { "properties": { "name": {}, "image": {}, "args": {} } } } } } } });
        let object = json!({ "spec": { "containers": [{ "name": "web" }] } });
        Live { object, schema: Some(Arc::new(schema)), scaler: None }
    }

    fn edits(said: &[(&str, Value)]) -> Vec<Edit> {
        said.iter().map(|(path, new)| Edit { path: path.parse().unwrap(), new: new.clone() }).collect()
    }

    fn fits(path: &str, new: Value, live: &Live) -> Result<(), String> {
        let target =
            Target { kind: "Web".into(), group: None, namespace: Some("shop".into()), name: "web".into() };
        fit(&edits(&[(path, new)]), &target, live)
    }

    #[test]
    fn a_field_that_the_kind_does_not_have_is_refused_with_the_nearest() {
        for (path, new, says) in [
            ("spec.replcas", json!(3), "Web has no field `replcas` in spec: did you mean replicas?"),
            ("spec.containers[name=web].imge", json!("x"), "did you mean image?"),
            ("spec.containers[name=new]", json!({ "name": "new", "imgae": "x" }), "did you mean image?"),
            ("sepc.replicas", json!(3), "Web has no field `sepc`: did you mean spec?"),
            ("spec.zzz", json!(1), "there are replicas, paused, containers"),
        ] {
            let refused = fits(path, new, &live()).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
        for (path, new) in [
            ("spec.replicas", json!(3)),
            ("metadata.labels.\"any/thing\"", json!("x")),
            // What should not be there may be taken away.
            ("spec.replcas", json!(null)),
        ] {
            assert_eq!(fits(path, new, &live()), Ok(()), "{path}");
        }
    }

    #[test]
    fn what_an_autoscaler_sets_is_changed_there() {
        let scaled = Live { scaler: Some("shop/web-hpa".into()), ..live() };
        let refused = fits("spec.replicas", json!(3), &scaled).unwrap_err();
        assert!(refused.contains("HorizontalPodAutoscaler shop/web-hpa") && refused.contains("spec.minReplicas"));
        assert_eq!(fits("spec.paused", json!(true), &scaled), Ok(()));
    }

    #[test]
    fn edits_that_meet_are_refused_and_the_same_twice_is_one() {
        let both = |one: (&str, Value), other: (&str, Value)| {
            checked(edits(&[one, other]), Some(&live())).map(|edits| edits.len())
        };
        assert_eq!(both(("spec.replicas", json!(3)), ("spec.\"replicas\"", json!(3))), Ok(1));
        for (one, other) in [
            (("spec.replicas", json!(3)), ("spec.replicas", json!(4))),
            (("spec", json!({})), ("spec.replicas", json!(4))),
            // The same item, by its name and by its position.
            (("spec.containers[name=web].image", json!("a")), ("spec.containers[0].image", json!("b"))),
        ] {
            let refused = both(one.clone(), other.clone()).unwrap_err();
            assert!(refused.contains(one.0) && refused.contains(other.0), "{refused}");
        }
    }
}
