//! The values of a release, layer by layer: what each says, and which of them decides. Pure.

use serde_json::{Map, Value};

use crate::changes::path::{FieldPath, Step};

/// One layer of values; a later one wins over an earlier one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) at: At,
    /// As Helm merges it.
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The defaults of a chart in the chart, which are not edited: its parent's values are put over them.
    Subchart,
    /// The chart's own values.yaml.
    Defaults {
        file: String,
    },
    File {
        file: String,
    },
    /// Into the release's manifests.
    Manifest {
        index: usize,
    },
}

impl At {
    pub(super) fn is_default(&self) -> bool {
        matches!(self, Self::Subchart | Self::Defaults { .. })
    }
}

/// A value that is no mapping, and the layer that decides it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaf {
    pub(super) path: Vec<Step>,
    pub(super) value: Value,
    /// Into the sources.
    pub(super) source: usize,
}

/// What the layers come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Effective {
    pub(super) leaves: Vec<Leaf>,
    /// All mappings, and what is nothing yet.
    pub(super) mappings: Vec<Vec<Step>>,
}

impl Effective {
    pub(super) fn of(sources: &[Source]) -> Self {
        let mut effective = Self::default();
        for (index, source) in sources.iter().enumerate() {
            effective.add(&source.value, &mut Vec::new(), index);
        }
        effective
    }

    fn add(&mut self, value: &Value, path: &mut Vec<Step>, source: usize) {
        match value {
            Value::Object(fields) => {
                if !self.mappings.contains(path) {
                    self.mappings.push(path.clone());
                }
                self.leaves.retain(|leaf| leaf.path != *path);
                for (key, value) in fields {
                    path.push(Step::Key(key.clone()));
                    self.add(value, path, source);
                    path.pop();
                }
            }
            Value::Array(items) => {
                // A list takes the place of an earlier one whole.
                self.leaves.retain(|leaf| !leaf.path.starts_with(path));
                if items.is_empty() {
                    self.leaves.push(Leaf { path: path.clone(), value: value.clone(), source });
                }
                for (index, value) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    self.add(value, path, source);
                    path.pop();
                }
            }
            value => {
                self.leaves.retain(|leaf| !leaf.path.starts_with(path));
                self.leaves.push(Leaf { path: path.clone(), value: value.clone(), source });
            }
        }
    }

    pub(super) fn says(&self, path: &[Step]) -> bool {
        self.mappings.iter().any(|there| there == path) || self.leaves.iter().any(|leaf| leaf.path == path)
    }
}

/// Argo CD's parameters as values, typed as `helm --set` does.
///
/// # Errors
/// When a name is more than keys with dots.
pub(super) fn of_parameters(parameters: &Value) -> Result<Value, String> {
    let mut values = Value::Object(Map::new());
    for parameter in parameters.as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        let text = parameter["value"].as_str().unwrap_or_default();
        let keys = keys(name).ok_or_else(|| format!("the parameter {name} is more than keys with dots"))?;
        let value = if parameter["forceString"] == true { Value::from(text) } else { typed(text) };
        let path = FieldPath::from_steps(keys);
        let place = path.locate(&values).map_err(|error| error.to_string())?;
        // Here nothing is removed: null is a value.
        if !value.is_null() {
            place.apply(&mut values, &value);
        }
    }
    Ok(values)
}

/// `a.b` as keys; a dot may be escaped.
pub(super) fn keys(name: &str) -> Option<Vec<Step>> {
    if name.is_empty() || name.contains(['[', ',', '{', '=']) {
        return None;
    }
    let parts = name.replace("\\.", "\0");
    Some(parts.split('.').map(|part| Step::Key(part.replace('\0', "."))).collect())
}

fn typed(text: &str) -> Value {
    match text {
        "true" => true.into(),
        "false" => false.into(),
        "null" => Value::Null,
        text => {
            let plain = text == "0" || !text.trim_start_matches('-').starts_with('0');
            text.parse::<i64>().ok().filter(|_| plain).map_or_else(|| text.into(), Value::from)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{At, Effective, FieldPath, Source, of_parameters};

    fn source(value: Value) -> Source {
        Source { at: At::File { file: "x".into() }, value }
    }

    #[test]
    fn the_later_layer_decides() {
        let sources = [
            source(json!({"image": {"tag": "1", "name": "web"}, "args": ["a", "b"], "extra": {}})),
            source(json!({"image": {"tag": "2"}, "args": ["c"]})),
        ];
        let effective = Effective::of(&sources);
        let said: Vec<_> = effective
            .leaves
            .iter()
            .map(|leaf| {
                format!("{}={} {}", FieldPath::from_steps(leaf.path.clone()), leaf.value, leaf.source)
            })
            .collect();
        assert_eq!(said, ["image.name=\"web\" 0", "image.tag=\"2\" 1", "args[0]=\"c\" 1"]);
        assert!(effective.says(FieldPath::of_keys(&["extra"]).steps()));
        assert!(!effective.says(FieldPath::of_keys(&["other"]).steps()));
    }

    #[test]
    fn parameters_are_values() {
        let said = of_parameters(&json!([
            {"name": "image.tag", "value": "1.2"}, {"name": "replicas", "value": "3"},
            {"name": "text", "value": "3", "forceString": true}, {"name": "a\\.b", "value": "true"}
        ]));
        assert_eq!(said.unwrap(), json!({"image": {"tag": "1.2"}, "replicas": 3, "text": "3", "a.b": true}));
        assert!(of_parameters(&json!([{"name": "a[0]", "value": "x"}])).is_err());
    }
}
