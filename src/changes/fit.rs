//! Whether new values fit what stands in the document: of the same type, and under a key that is no slip.

use serde_json::Value;

use super::{
    edit::Edit,
    path::{Located, Step},
};

/// Notes on new keys, for the answer.
///
/// # Errors
/// One sentence, when a value of one type would take the place of another.
pub(super) fn check(document: &Value, edits: &[Edit]) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    for Edit { path, new } in edits {
        // A path that leads nowhere is said by the edit itself.
        let Ok(place) = path.locate(document) else { continue };
        if let Some(old) = place.get(document) {
            let keys: Vec<_> = path
                .steps()
                .iter()
                .map(|step| match step {
                    Step::Key(key) => key.as_str(),
                    Step::Index(_) | Step::Select { .. } => "",
                })
                .collect();
            // Where only text is right, text mends what stands there (`y` reads as true).
            let mends = new.is_string() && of_texts(&keys);
            if !mends && !takes_both(&keys) && !old.is_null() && !new.is_null() && shape(old) != shape(new) {
                return Err(format!(
                    "{path} is {} and the new value is {}: give {0}, as the manifest has it",
                    shape(old),
                    shape(new)
                ));
            }
        } else if !new.is_null() {
            let steps = &place.steps[..place.steps.len() - place.missing()];
            let parent = steps.iter().try_fold(document, |value, step| match step {
                Located::Key(key) => value.get(key),
                Located::Index(index) => value.get(index),
            });
            let (Some(Located::Key(key)), Some(Value::Object(siblings))) =
                (place.steps.get(steps.len()), parent)
            else {
                continue;
            };
            let near = siblings
                .keys()
                .map(|sibling| (strsim::jaro_winkler(sibling, key), sibling))
                .filter(|(likeness, _)| *likeness > 0.88)
                .max_by(|(a, _), (b, _)| a.total_cmp(b));
            notes.push(match near {
                Some((_, near)) => format!(
                    "{path} is new: there was no `{key}`; did you mean `{near}`, which stands beside it?"
                ),
                None => format!("{path} is new: there was no `{key}`"),
            });
        }
    }
    Ok(notes)
}

/// Fields that Kubernetes takes as a number or as text: quantities, and ports and counts that may be names or
/// percentages.
fn takes_both(keys: &[&str]) -> bool {
    let parent = keys.len().checked_sub(2).map(|at| keys[at]).unwrap_or_default();
    let quantity = ["limits", "requests", "hard", "capacity", "default", "defaultRequest", "min", "max"];
    let either = ["targetPort", "port", "maxUnavailable", "minAvailable", "maxSurge"];
    quantity.contains(&parent) || keys.last().is_some_and(|key| either.contains(key))
}

/// A key of a map whose values are all text.
fn of_texts(keys: &[&str]) -> bool {
    let maps = ["data", "labels", "annotations", "nodeSelector", "matchLabels"];
    keys.len().checked_sub(2).is_some_and(|at| maps.contains(&keys[at]))
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Edit, check};

    fn said(path: &str, new: Value) -> Result<Vec<String>, String> {
        let document = json!({"spec": {"replicas": 2, "empty": null, "args": ["a"],
            "resources": {"limits": {"cpu": 1}}}, "metadata": {"labels": {"n": "1", "y": true}}});
        check(&document, &[Edit { path: path.parse().unwrap(), new }])
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        for (path, new, says) in [
            ("spec.replicas", json!("3"), "is a number and the new value is text"),
            ("spec.args", json!("a"), "is a list and the new value is text"),
            ("metadata.labels.n", json!(2), "is text and the new value is a number"),
        ] {
            let refused = said(path, new).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
        let fine = [
            ("spec.replicas", json!(3)),
            ("spec.replicas", json!(null)),
            ("spec.empty", json!("x")),
            ("metadata.labels.y", json!("y")),
            ("spec.resources.limits.cpu", json!("500m")),
        ];
        for (path, new) in fine {
            assert_eq!(said(path, new), Ok(Vec::new()), "{path}");
        }
    }

    #[test]
    fn a_new_key_is_noted_with_the_one_it_resembles() {
        let notes = said("spec.replica", json!(3)).unwrap();
        assert!(notes[0].contains("did you mean `replicas`"), "{notes:?}");
        let notes = said("spec.paused", json!(true)).unwrap();
        assert!(notes[0].contains("no `paused`") && !notes[0].contains("did you mean"), "{notes:?}");
    }
}
