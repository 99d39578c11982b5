//! One candidate: a layer, and the files as they would be.

use serde_json::Value;

use super::Layer;
use crate::changes::{
    edit::{self, Edit},
    path::{FieldPath, Step},
    source::Files,
};

/// A way to make one edit; whether it does what was asked is seen when it is rendered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attempt {
    pub(super) layer: Layer,
    pub(super) make: Make,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Make {
    /// The new texts, or why the file cannot be edited that way.
    Made(Result<Made, String>),
    /// The change of another object that is maintained elsewhere: of the values in its manifest.
    Elsewhere {
        /// Which of the release's values.
        manifest: usize,
        /// Of the values.
        edits: Vec<Edit>,
    },
}

/// Files that were edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) texts: Files,
    /// Of the layer's file, counted from 1.
    pub(super) line: usize,
}

impl Made {
    pub(super) fn one(file: &str, text: String, line: usize) -> Self {
        Self { texts: Files::from([(file.to_owned(), text)]), line }
    }
}

/// Field edits of a document of a file, as [`edit::apply`] makes them.
pub(super) fn fields(files: &Files, file: &str, document: usize, edits: &[Edit]) -> Result<Made, String> {
    let text = files.get(file).ok_or("the file is not there")?;
    let edited = edit::apply(text, document, edits).map_err(|error| error.to_string())?;
    let line = edited.changed.iter().map(|changed| changed.line).min().ok_or("it says so already")?;
    Ok(Made::one(file, edited.text, line))
}

/// `key[0].rest` and the like, in one document.
pub(super) fn path(steps: &[Step]) -> FieldPath {
    FieldPath::from_steps(steps.to_vec())
}

pub(super) fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

/// The line, counted from 1, at which two texts part.
pub(super) fn first_difference(before: &str, after: &str) -> usize {
    let same = before.lines().zip(after.lines()).take_while(|(before, after)| before == after).count();
    same + 1
}

/// `value` behind mappings for keys and one-item lists for selections: what a new patch says.
///
/// Nothing when a position stands among the steps: what would stand before it is not known.
pub(super) fn nested(steps: &[Step], value: &Value) -> Option<Value> {
    let mut built = value.clone();
    for step in steps.iter().rev() {
        built = match step {
            Step::Key(name) => Value::Object([(name.clone(), built)].into_iter().collect()),
            Step::Index(_) => return None,
            Step::Select { key, value } => {
                // The item is known by that key, so it must be part of it.
                let mut item = serde_json::Map::from_iter([(key.clone(), Value::from(value.as_str()))]);
                let Value::Object(fields) = built else { return None };
                item.extend(fields);
                Value::Array(vec![Value::Object(item)])
            }
        };
    }
    Some(built)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{FieldPath, nested};

    #[test]
    fn a_patch_says_the_way_to_the_field() {
        let path: FieldPath = "spec.containers[name=web].resources.limits.memory".parse().unwrap();
        assert_eq!(
            nested(path.steps(), &json!("1Gi")).unwrap(),
            json!({"spec": {"containers": [{"name": "web", "resources": {"limits": {"memory": "1Gi"}}}]}})
        );
        let path: FieldPath = "spec.args[0]".parse().unwrap();
        assert_eq!(nested(path.steps(), &json!("x")), None);
    }
}
