//! What an overlay gets when no layer of it says the field: more in a patch that it has, or a new patch. Pure.

use serde_json::{Value, json};

use super::{
    candidates::{Level, Resource, Wanted},
    patches::{extension, of_level, pointer},
};
use crate::changes::{
    documents, edit,
    layers::{
        Part,
        attempt::{Attempt, Made, first_difference, nested},
        splice, written,
    },
    path::Located,
};

/// The additions to the overlay itself; `resource` is the document that the object is made from.
pub(super) fn all(
    wanted: &Wanted<'_>,
    level: Level<'_>,
    resource: Option<&Resource>,
    attempts: &mut Vec<Attempt>,
) {
    // What is generated, or comes from a chart, has no document that a patch could name.
    let Some(Resource { value: document, .. }) = resource else { return };
    if !wanted.edit.new.is_null() {
        extensions(wanted, level, attempts);
        if let Some(value) = nested(wanted.path.steps(), &wanted.edit.new) {
            let file = free_name(wanted, level, document);
            let made = merge_patch(wanted, level, document, &value, &file);
            attempts.push(wanted.attempt(&file, Part::NewPatch, made));
        }
    }
    let made = json_patch(wanted, level, document);
    attempts.push(wanted.attempt(level.file, Part::NewPatch, made));
}

fn extensions(wanted: &Wanted<'_>, level: Level<'_>, attempts: &mut Vec<Attempt>) {
    for patch in of_level(wanted, level) {
        for (at, found) in documents::read(&patch.text).unwrap_or_default().iter().enumerate() {
            let is_there = wanted.path.locate(&found.value).is_ok_and(|place| place.missing() == 0);
            if is_there || !wanted.is_of_object(&found.value) {
                continue;
            }
            let Some(edit) = extension(&found.value, &wanted.edit_by_name()) else { continue };
            let made = edit::apply(&patch.text, at, &[edit])
                .map_err(|error| error.to_string())
                .and_then(|edited| patch.with(wanted, level, &edited.text));
            attempts.push(wanted.attempt(patch.shown_file(level), Part::Patch, made));
        }
    }
}

/// A strategic merge patch in a file of its own, and its entry in the kustomization.
fn merge_patch(
    wanted: &Wanted<'_>,
    level: Level<'_>,
    document: &Value,
    value: &Value,
    file: &str,
) -> Result<Made, String> {
    let mut patch = json!({
        "apiVersion": document["apiVersion"], "kind": document["kind"],
        "metadata": { "name": document["metadata"]["name"] },
    });
    if document["metadata"]["namespace"].is_string() {
        patch["metadata"]["namespace"] = document["metadata"]["namespace"].clone();
    }
    let (Some(patch), Some(value)) = (patch.as_object_mut(), value.as_object()) else {
        return Err("the patch would be no mapping".to_owned());
    };
    for (key, value) in value {
        match (patch.get_mut(key), value) {
            (Some(Value::Object(own)), Value::Object(value)) => own.extend(value.clone()),
            _ => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    let patch = Value::Object(patch.clone());
    let outer = wanted.files.get(level.file).map(String::as_str).unwrap_or_default();
    let name = file.strip_prefix(level.folder).unwrap_or(file);
    let entry = written::block(&json!({ "path": name }));
    let mut made = Made::one(file, written::block(&patch), 1);
    made.texts.insert(level.file.to_owned(), splice::append(outer, "patches", &entry)?);
    Ok(made)
}

/// `prod/patch-deployment-web.yaml`, or with a number when there is one of that name.
fn free_name(wanted: &Wanted<'_>, level: Level<'_>, document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_ascii_lowercase();
    let (kind, name) = (text(&document["kind"]), text(&document["metadata"]["name"]));
    let plain: String = format!("patch-{kind}-{name}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '-' })
        .collect();
    let file = |number: usize| match number {
        1 => format!("{}{plain}.yaml", level.folder),
        number => format!("{}{plain}-{number}.yaml", level.folder),
    };
    (1..).map(file).find(|file| !wanted.files.contains_key(file)).unwrap_or_default()
}

/// A JSON patch in the kustomization: it reaches lists without names and kinds that merge otherwise.
fn json_patch(wanted: &Wanted<'_>, level: Level<'_>, document: &Value) -> Result<Made, String> {
    let operation = operation(wanted)?;
    let target = json!({ "kind": document["kind"], "name": document["metadata"]["name"] });
    let mut entry = format!("target:\n{}patch: |-\n", indented(&written::block(&target), 2));
    entry.push_str(&indented(&written::block(&json!([operation])), 2));
    let outer = wanted.files.get(level.file).map(String::as_str).unwrap_or_default();
    let after = splice::append(outer, "patches", &entry)?;
    let line = first_difference(outer, &after);
    Ok(Made::one(level.file, after, line))
}

fn operation(wanted: &Wanted<'_>) -> Result<Value, String> {
    let new = &wanted.edit.new;
    if wanted.old().is_some() {
        return Ok(match new {
            Value::Null => json!({ "op": "remove", "path": pointer(&wanted.located) }),
            new => json!({ "op": "replace", "path": pointer(&wanted.located), "value": new }),
        });
    }
    // A JSON patch adds to what is there: the first of the parents that is missing gets all below it.
    let mut here = Some(wanted.object);
    let mut present = 0;
    for step in &wanted.located {
        here = here.and_then(|value| match step {
            Located::Key(key) => value.get(key),
            Located::Index(index) => value.get(index),
        });
        if here.is_none() {
            break;
        }
        present += 1;
    }
    let (to, below) = wanted.located.split_at((present + 1).min(wanted.located.len()));
    let value = below.iter().rev().try_fold(new.clone(), |value, step| match step {
        Located::Key(key) => Ok(json!({ key: value })),
        Located::Index(_) => Err("a list that is not there cannot be filled".to_owned()),
    })?;
    Ok(json!({ "op": "add", "path": pointer(to), "value": value }))
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}
