//! Edits of an object as the JSON patch of the very version that was looked at. Pure.

use serde_json::{Value, json};

use crate::changes::path::{FieldPath, Located};

/// The patch that makes these edits of `live`, and fails when the object is another version by then.
///
/// # Errors
/// One sentence, when a path leads nowhere in the object.
pub(super) fn patch(live: &Value, edits: &[(FieldPath, Value)]) -> Result<Vec<Value>, String> {
    let version = &live["metadata"]["resourceVersion"];
    if !version.is_string() {
        return Err("the object has no resourceVersion: read it again".to_owned());
    }
    // The version as it was read: of another one the API server refuses the whole as a conflict.
    let mut operations =
        vec![json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version })];
    let mut changing = live.clone();
    for (path, new) in edits {
        let place = path.locate(&changing).map_err(|lost| lost.to_string())?;
        let pointer = |steps: &[Located]| -> String {
            steps
                .iter()
                .map(|step| match step {
                    Located::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
                    Located::Index(index) => format!("/{index}"),
                })
                .collect()
        };
        let missing = place.missing();
        match (new.is_null(), missing) {
            // It is not there: nothing to remove.
            (true, 1..) => continue,
            (true, 0) => operations.push(json!({ "op": "remove", "path": pointer(&place.steps) })),
            (false, 0) => {
                operations.push(json!({ "op": "replace", "path": pointer(&place.steps), "value": new }));
            }
            (false, missing) => {
                // The parents that are not there come with it.
                let (present, absent) = place.steps.split_at(place.steps.len() - missing + 1);
                let value = absent.iter().rev().fold(new.clone(), |value, step| match step {
                    Located::Key(key) => json!({ key.as_str(): value }),
                    Located::Index(_) => value,
                });
                operations.push(json!({ "op": "add", "path": pointer(present), "value": value }));
            }
        }
        place.apply(&mut changing, new);
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::patch;

    fn patched(edits: &[(&str, Value)]) -> Value {
        let live = json!({ "metadata": { "resourceVersion": "7", "labels": { "a/b": "x" } },
            "spec": { "containers": [{ "name": "web", "image": "web:1" }, { "name": "log" }] } });
        let edits: Vec<_> = edits.iter().map(|(path, new)| (path.parse().unwrap(), new.clone())).collect();
        let operations = patch(&live, &edits).unwrap();
        let mut made = live;
        json_patch::patch(
            &mut made,
            &serde_json::from_value::<json_patch::Patch>(json!(operations)).unwrap(),
        )
        .unwrap();
        made
    }

    #[test]
    fn edits_become_a_patch_of_that_version() {
        let made = patched(&[
            ("spec.containers[name=web].image", json!("web:2")),
            ("spec.containers[name=log].resources.limits.memory", json!("64Mi")),
            ("spec.containers[name=log].resources.limits.cpu", json!("1")),
            ("metadata.labels.\"a/b\"", Value::Null),
            ("spec.absent", Value::Null),
        ]);
        assert_eq!(made["spec"]["containers"][0]["image"], "web:2");
        let limits = json!({ "limits": { "memory": "64Mi", "cpu": "1" } });
        assert_eq!(made["spec"]["containers"][1]["resources"], limits);
        assert_eq!(made["metadata"]["labels"], json!({}));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_said() {
        let live = json!({ "metadata": { "resourceVersion": "7" }, "spec": { "containers": [] } });
        let path = "spec.containers[name=web].image".parse().unwrap();
        assert!(patch(&live, &[(path, json!("x"))]).unwrap_err().contains("no item with name=web"));
    }
}
