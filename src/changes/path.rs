//! Field paths: `spec.template.spec.containers[name=web].resources.limits.memory`,
//! `spec.rules[0].host`, `metadata.annotations."example.com/x"`.

mod reader;

use std::{fmt, str::FromStr};

use serde_json::Value;

/// A parsed path; has at least one step and starts with a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FieldPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Key(String),
    Index(usize),
    /// The one item of a list whose field `key` is `value`.
    Select {
        key: String,
        value: String,
    },
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the field path {path:?} cannot be read at character {at}: {problem}; write it like spec.containers[name=web].image, spec.rules[0].host or metadata.labels.\"example.com/x\""
)]
pub(super) struct PathError {
    path: String,
    /// Counted from 1.
    at: usize,
    problem: &'static str,
}

/// Why a path leads nowhere in a value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    #[error("{at} is {found}, so {step} cannot be looked up in it")]
    WrongShape { at: String, found: &'static str, step: String },
    #[error("{at} has {length} items, so there is no [{index}]")]
    NoIndex { at: String, length: usize, index: usize },
    #[error("{at} has no item with {key}={value}{}", others(.known, .key))]
    NoItem { at: String, key: String, value: String, known: Vec<String> },
    #[error("{at} has several items with {key}={value}: name one by its position, such as [0]")]
    SeveralItems { at: String, key: String, value: String },
}

fn others(known: &[String], key: &str) -> String {
    if known.is_empty() { String::new() } else { format!("; {key} is one of {}", known.join(", ")) }
}

impl FieldPath {
    /// None for what is no path: it begins with a key.
    pub(super) fn of(steps: Vec<Step>) -> Option<Self> {
        matches!(steps.first(), Some(Step::Key(_))).then_some(Self(steps))
    }

    /// `steps` begin with a key.
    pub(super) fn from_steps(steps: Vec<Step>) -> Self {
        Self(steps)
    }

    pub(super) fn of_keys(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    /// Whether it is `other` or lies inside it.
    pub(super) fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether one of the two is the other or lies inside it.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let shorter = self.0.len().min(other.0.len());
        self.0[..shorter] == other.0[..shorter]
    }

    /// The path as it was probably meant when it goes deeper than one key into a map of texts, whose keys often
    /// hold dots.
    pub(super) fn unquoted(&self) -> Option<Self> {
        let key = |at: usize| match self.0.get(at) {
            Some(Step::Key(key)) => Some(key.as_str()),
            _ => None,
        };
        let map = (0..self.0.len()).find(|at| match key(*at) {
            Some("data" | "stringData" | "binaryData") => *at == 0,
            // A schema has fields of these names too.
            Some("labels" | "annotations" | "nodeSelector" | "matchLabels") => {
                *at == 0 || key(at - 1) != Some("properties")
            }
            _ => false,
        })?;
        let first = key(map + 1)?;
        self.0.get(map + 2)?;
        let mut name = first.to_owned();
        for step in &self.0[map + 2..] {
            match step {
                Step::Key(key) => {
                    name.push('.');
                    name.push_str(key);
                }
                Step::Index(_) | Step::Select { .. } => break,
            }
        }
        Some(Self(self.0[..=map].iter().cloned().chain([Step::Key(name)]).collect()))
    }

    /// As [`Self::locate`], for putting `new` there: an item that is not in its list yet has its place at the end of
    /// it, when `new` is what the path selects.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub(super) fn locate_for(&self, root: &Value, new: &Value) -> Result<Place, Lost> {
        let lost = match self.locate(root) {
            Err(lost @ Lost::NoItem { .. }) => lost,
            located => return located,
        };
        let Some((Step::Select { key, value }, above)) = self.0.split_last() else { return Err(lost) };
        if !new.get(key).is_some_and(|own| says(own, value)) {
            return Err(lost);
        }
        let mut place = Self(above.to_vec()).locate(root)?;
        let Some(Value::Array(items)) = place.get(root) else { return Err(lost) };
        place.steps.push(Located::Index(items.len()));
        Ok(place)
    }

    /// Follows the path through a value, turning list selections into positions.
    ///
    /// # Errors
    /// When a step does not fit what stands there. A missing key is no error: see [`Place::missing`].
    pub(super) fn locate(&self, root: &Value) -> Result<Place, Lost> {
        let mut here = Some(root);
        let mut steps = Vec::with_capacity(self.0.len());
        let mut present = 0;
        for (depth, step) in self.0.iter().enumerate() {
            let Some(value) = here else {
                // Below what is missing only mappings can be made.
                let Step::Key(key) = step else {
                    return Err(Lost::WrongShape {
                        at: self.prefix(depth),
                        found: "missing",
                        step: step.to_string(),
                    });
                };
                steps.push(Located::Key(key.clone()));
                continue;
            };
            let (located, next) = self.enter(depth, step, value)?;
            steps.push(located);
            if next.is_some() {
                present = depth + 1;
            }
            here = next;
        }
        Ok(Place { steps, present })
    }

    fn enter<'v>(
        &self,
        depth: usize,
        step: &Step,
        value: &'v Value,
    ) -> Result<(Located, Option<&'v Value>), Lost> {
        let at = || self.prefix(depth);
        match (step, value) {
            (Step::Key(key), Value::Object(fields)) => Ok((Located::Key(key.clone()), fields.get(key))),
            // `resources:` with nothing behind it is a mapping that nobody has filled yet.
            (Step::Key(key), Value::Null) => Ok((Located::Key(key.clone()), None)),
            (Step::Index(index), Value::Array(items)) => items
                .get(*index)
                .map(|item| (Located::Index(*index), Some(item)))
                .ok_or_else(|| Lost::NoIndex { at: at(), length: items.len(), index: *index }),
            (Step::Select { key, value }, Value::Array(items)) => {
                let mut found = items
                    .iter()
                    .enumerate()
                    .filter(|(_, item)| item.get(key).is_some_and(|found| says(found, value)));
                match (found.next(), found.next()) {
                    (Some((index, item)), None) => Ok((Located::Index(index), Some(item))),
                    (Some(_), Some(_)) => {
                        Err(Lost::SeveralItems { at: at(), key: key.clone(), value: value.clone() })
                    }
                    (None, _) => Err(Lost::NoItem {
                        at: at(),
                        key: key.clone(),
                        value: value.clone(),
                        known: items.iter().filter_map(|item| item.get(key)).map(plain).collect(),
                    }),
                }
            }
            (step, value) => Err(Lost::WrongShape { at: at(), found: shape(value), step: step.to_string() }),
        }
    }

    /// The first `depth` steps as text.
    fn prefix(&self, depth: usize) -> String {
        if depth == 0 { "the document".to_owned() } else { Self(self.0[..depth].to_vec()).to_string() }
    }
}

/// Where a path leads in one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) steps: Vec<Located>,
    /// How many of the steps exist already.
    present: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Located {
    Key(String),
    Index(usize),
}

impl Place {
    /// The steps that do not exist yet; all of them are keys, or one is the end of a list.
    pub(super) fn missing(&self) -> usize {
        self.steps.len() - self.present
    }

    /// The value there, if there is one.
    pub(super) fn get<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.steps.iter().try_fold(root, |value, step| match step {
            Located::Key(key) => value.get(key),
            Located::Index(index) => value.get(index),
        })
    }

    /// The same edit on a plain value; missing parents become mappings, `null` removes.
    pub(super) fn apply(&self, root: &mut Value, new: &Value) {
        let Some((last, parents)) = self.steps.split_last() else { return };
        if new.is_null() && self.missing() > 0 {
            return;
        }
        let mut here = root;
        for step in parents {
            let next = match step {
                Located::Key(key) => {
                    if here.is_null() {
                        *here = Value::Object(serde_json::Map::new());
                    }
                    let Value::Object(fields) = here else { return };
                    fields.entry(key.clone()).or_insert(Value::Null)
                }
                Located::Index(index) => {
                    let Some(item) = here.get_mut(*index) else { return };
                    item
                }
            };
            here = next;
        }
        if here.is_null() {
            *here = Value::Object(serde_json::Map::new());
        }
        match (last, here) {
            (Located::Key(key), Value::Object(fields)) if new.is_null() => {
                fields.shift_remove(key);
            }
            (Located::Key(key), Value::Object(fields)) => {
                fields.insert(key.clone(), new.clone());
            }
            (Located::Index(index), Value::Array(items)) if *index == items.len() => items.push(new.clone()),
            (Located::Index(index), Value::Array(items)) if *index < items.len() => {
                if new.is_null() {
                    items.remove(*index);
                } else {
                    items[*index] = new.clone();
                }
            }
            _ => {}
        }
    }
}

fn says(found: &Value, wanted: &str) -> bool {
    plain(found) == wanted
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) | Value::Number(_) | Value::String(_) => "a single value",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            if depth > 0 && matches!(step, Step::Key(_)) {
                f.write_str(".")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(&word(key)),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Select { key, value } => write!(f, "[{}={}]", word(key), word(value)),
        }
    }
}

/// As it can stand in a path: quoted when it holds what means something there.
fn word(text: &str) -> String {
    let bare = !text.is_empty() && text.chars().all(bare);
    if bare { text.to_owned() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

fn bare(character: char) -> bool {
    !character.is_whitespace() && !character.is_control() && !".[]=\"'\\".contains(character)
}

impl FromStr for FieldPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        reader::read(text).map(Self).map_err(|(at, problem)| PathError { path: text.to_owned(), at, problem })
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
