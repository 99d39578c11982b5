//! Values that may decide a field of a rendered object, the likeliest first. Each is only a guess until it is
//! rendered. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::values::{Effective, Leaf};
use crate::changes::path::{Located, Step};

/// One value that may have to be another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guess {
    pub(super) path: Vec<Step>,
    pub(super) new: Value,
}

/// What of a rendered object is to change.
pub(super) struct Wanted<'a> {
    /// In the object.
    pub(super) located: &'a [Located],
    pub(super) old: Option<&'a Value>,
    pub(super) new: &'a Value,
}

/// More would only be noise.
const MOST: usize = 40;

/// `named` are the values that templates name.
pub(super) fn all(wanted: &Wanted<'_>, effective: &Effective, named: &BTreeSet<String>) -> Vec<Guess> {
    let mut guesses = equal(wanted, effective);
    guesses.extend(contained(wanted, effective));
    guesses.extend(below(wanted, effective));
    guesses.extend(empty(wanted, effective));
    guesses.extend(unsaid(wanted, effective, named));
    let mut seen: Vec<Guess> = Vec::new();
    for guess in guesses {
        if !seen.contains(&guess) {
            seen.push(guess);
        }
    }
    seen.truncate(MOST);
    seen
}

/// Leaves that say what the field says; those of the same name first.
fn equal(wanted: &Wanted<'_>, effective: &Effective) -> Vec<Guess> {
    let Some(old) = wanted.old.and_then(scalar) else { return Vec::new() };
    let mut found: Vec<_> =
        effective.leaves.iter().filter(|leaf| scalar(&leaf.value).as_ref() == Some(&old)).collect();
    found.sort_by_key(|leaf| std::cmp::Reverse(likeness(wanted, leaf)));
    found
        .into_iter()
        .map(|leaf| Guess { path: leaf.path.clone(), new: like(&leaf.value, wanted.new) })
        .collect()
}

/// How many of the last keys are the same.
fn likeness(wanted: &Wanted<'_>, leaf: &Leaf) -> usize {
    let keys = |steps: &[Step]| -> Vec<String> {
        steps
            .iter()
            .rev()
            .filter_map(|step| if let Step::Key(key) = step { Some(key.to_lowercase()) } else { None })
            .collect()
    };
    let located = wanted.located.iter().rev().filter_map(|step| match step {
        Located::Key(key) => Some(key.to_lowercase()),
        Located::Index(_) => None,
    });
    keys(&leaf.path).into_iter().zip(located).take_while(|(own, other)| own == other).count()
}

/// Leaves that are a part of the text, as a tag is of an image.
fn contained(wanted: &Wanted<'_>, effective: &Effective) -> Vec<Guess> {
    let (Some(old), Some(new)) = (wanted.old.and_then(Value::as_str), wanted.new.as_str()) else {
        return Vec::new();
    };
    let mut found: Vec<(usize, Guess)> = Vec::new();
    for leaf in &effective.leaves {
        let Some(part) = scalar(&leaf.value).filter(|part| !part.is_empty() && part.len() < old.len()) else {
            continue;
        };
        for (at, _) in old.match_indices(&part) {
            let (before, after) = (&old[..at], &old[at + part.len()..]);
            let rest = new.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                let new = like(&leaf.value, &Value::from(rest));
                found.push((part.len(), Guess { path: leaf.path.clone(), new }));
            }
        }
    }
    // The longer the part, the less it is there by chance.
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, guess)| guess).collect()
}

/// A mapping of the name of a part of the path, with the rest of the path below it: `resources` of `toYaml`.
fn below(wanted: &Wanted<'_>, effective: &Effective) -> Vec<Guess> {
    let mut guesses = Vec::new();
    for (depth, step) in wanted.located.iter().enumerate().rev() {
        let Located::Key(key) = step else { continue };
        let rest: Vec<_> = wanted.located[depth + 1..]
            .iter()
            .map(|step| match step {
                Located::Key(key) => Step::Key(key.clone()),
                Located::Index(index) => Step::Index(*index),
            })
            .collect();
        let is_named = |path: &&Vec<Step>| matches!(path.last(), Some(Step::Key(last)) if last == key);
        let leaves = effective.leaves.iter().map(|leaf| &leaf.path);
        for path in effective.mappings.iter().chain(leaves).filter(is_named) {
            let path = path.iter().chain(&rest).cloned().collect();
            guesses.push(Guess { path, new: wanted.new.clone() });
        }
    }
    guesses
}

/// Leaves that say nothing yet, for which the template has something of its own: `default .Chart.AppVersion`.
fn empty(wanted: &Wanted<'_>, effective: &Effective) -> Vec<Guess> {
    if wanted.new.is_null() {
        return Vec::new();
    }
    let is_empty = |leaf: &&Leaf| leaf.value.is_null() || leaf.value == "";
    let mut guesses = Vec::new();
    for leaf in effective.leaves.iter().filter(is_empty) {
        guesses.push(Guess { path: leaf.path.clone(), new: wanted.new.clone() });
        let (old, new) = (wanted.old.and_then(Value::as_str), wanted.new.as_str());
        if let Some(part) = old.zip(new).and_then(|(old, new)| changed_part(old, new)) {
            guesses.push(Guess { path: leaf.path.clone(), new: part.into() });
        }
    }
    guesses
}

/// What stands behind the last separator that both have in common: `1.1` of `web:1.0` and `web:1.1`.
fn changed_part<'a>(old: &str, new: &'a str) -> Option<&'a str> {
    let same = old.bytes().zip(new.bytes()).take_while(|(old, new)| old == new).count();
    let at = new.get(..same)?.rfind([':', '/', '@', '-'])?;
    new.get(at + 1..).filter(|part| !part.is_empty())
}

/// Values that templates name and nobody says.
fn unsaid(wanted: &Wanted<'_>, effective: &Effective, named: &BTreeSet<String>) -> Vec<Guess> {
    if wanted.new.is_null() {
        return Vec::new();
    }
    let last = wanted.located.iter().rev().find_map(|step| match step {
        Located::Key(key) => Some(key.to_lowercase()),
        Located::Index(_) => None,
    });
    let mut found: Vec<Vec<Step>> = named
        .iter()
        .map(|name| name.split('.').map(|key| Step::Key(key.to_owned())).collect::<Vec<_>>())
        .filter(|path| !effective.says(path))
        .collect();
    found.sort_by_key(|path| match path.last() {
        Some(Step::Key(key)) => Some(key.to_lowercase()) != last,
        _ => true,
    });
    found.into_iter().map(|path| Guess { path, new: wanted.new.clone() }).collect()
}

/// The values that a template names: `.Values.image.tag` as `image.tag`.
pub(super) fn named(template: &str) -> BTreeSet<String> {
    const HEAD: &str = ".Values.";
    let of_name = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
    template
        .match_indices(HEAD)
        .map(|(at, _)| {
            let rest = &template[at + HEAD.len()..];
            let end = rest.find(|c| !of_name(c)).unwrap_or(rest.len());
            rest[..end].trim_matches('.').to_owned()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// A scalar as a template writes it.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `new` in the type of what it replaces, where it can have it.
fn like(old: &Value, new: &Value) -> Value {
    match (old, new) {
        (Value::String(_), Value::Number(_) | Value::Bool(_)) => Value::from(new.to_string()),
        (Value::Number(_), Value::String(text)) => match text.parse::<i64>() {
            Ok(number) if number.to_string() == *text => number.into(),
            _ => new.clone(),
        },
        _ => new.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{BTreeSet, Effective, Wanted, all, changed_part, named};
    use crate::changes::{
        layers::helm::values::{At, Source},
        path::FieldPath,
    };

    fn guessed(values: Value, object: Value, path: &str, new: Value) -> Vec<String> {
        let source = Source { at: At::Defaults { file: "values.yaml".into() }, value: values };
        let path: FieldPath = path.parse().unwrap();
        let place = path.locate(&object).unwrap();
        let wanted = Wanted { located: &place.steps, old: place.get(&object), new: &new };
        all(&wanted, &Effective::of(&[source]), &BTreeSet::from(["podColor".to_owned()]))
            .into_iter()
            .map(|guess| format!("{}={}", FieldPath::from_steps(guess.path), guess.new))
            .collect()
    }

    #[test]
    fn a_leaf_of_the_same_name_is_tried_before_another_of_the_same_value() {
        let values = json!({"workers": 2, "replicas": 2, "name": "x"});
        let guessed = guessed(values, json!({"spec": {"replicas": 2}}), "spec.replicas", json!(3));
        assert_eq!(guessed[..2], ["replicas=3", "workers=3"]);
        assert_eq!(guessed.last().unwrap(), "podColor=3");
    }

    #[test]
    fn a_part_of_a_text_is_found() {
        let values = json!({"image": {"repository": "reg/web", "tag": "1.0"}, "other": "1"});
        let object = json!({"spec": {"image": "reg/web:1.0"}});
        assert_eq!(guessed(values, object, "spec.image", json!("reg/web:1.1"))[0], "image.tag=\"1.1\"");
        assert_eq!(changed_part("web:1.0", "web:1.1"), Some("1.1"));
    }

    #[test]
    fn what_is_written_whole_is_found_by_its_name() {
        let values = json!({"web": {"resources": {}}});
        let object = json!({"spec": {"resources": {"limits": {"cpu": 1}}}});
        let guessed = guessed(values, object, "spec.resources.limits.memory", json!("1Gi"));
        assert!(guessed.contains(&"web.resources.limits.memory=\"1Gi\"".to_owned()), "{guessed:?}");
    }

    #[test]
    fn templates_name_values() {
        let template =
            "{{ .Values.image.tag | default .Chart.AppVersion }} {{- with $.Values.nodeSelector }}";
        assert_eq!(named(template), BTreeSet::from(["image.tag".to_owned(), "nodeSelector".to_owned()]));
    }
}
