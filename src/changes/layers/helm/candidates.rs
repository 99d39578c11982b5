//! Where a value is changed so that it decides. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Release,
    guesses::{self, Guess, Wanted},
    values::{At, Effective, Source, keys},
};
use crate::changes::{
    documents,
    edit::{self, Edit},
    layers::{
        Layer,
        attempt::{Attempt, Made, Make, fields, nested},
        written,
    },
    path::{FieldPath, Step},
    source::{Files, Form},
};

pub(super) fn of(
    release: &Release,
    files: &Files,
    sources: &[Source],
    object: &Value,
    edit: &Edit,
) -> Vec<Attempt> {
    let Ok(place) = edit.path.locate(object) else { return Vec::new() };
    let wanted = Wanted { located: &place.steps, old: place.get(object), new: &edit.new };
    let effective = Effective::of(sources);
    let templates = format!("{}templates/", release.chart);
    let named: BTreeSet<String> = files
        .range(templates.clone()..)
        .take_while(|(path, _)| path.starts_with(&templates))
        .flat_map(|(_, text)| guesses::named(text))
        .collect();
    let mut attempts = Vec::new();
    for guess in guesses::all(&wanted, &effective, &named) {
        for source in seats(sources, &effective, &guess) {
            attempts.push(attempt(release, files, source, &guess));
        }
    }
    attempts
}

/// The layers at which a value is changed: where it is said, unless those are the defaults of everybody who installs
/// the chart and there is a layer of this release; then behind all others, where nothing is put over it.
fn seats<'a>(sources: &'a [Source], effective: &Effective, guess: &Guess) -> Vec<&'a Source> {
    let says = |path: &[Step]| effective.leaves.iter().find(|leaf| leaf.path == path).map(|leaf| leaf.source);
    let holder = says(&guess.path).and_then(|index| sources.get(index));
    let last = sources.iter().rev().find(|source| source.at != At::Subchart);
    let mut seats: Vec<&Source> = Vec::new();
    if let Some(holder) = holder.filter(|holder| !holder.at.is_default()) {
        seats.push(holder);
    }
    if let Some(last) = last.filter(|last| !seats.contains(last)) {
        seats.push(last);
    }
    seats
}

fn attempt(release: &Release, files: &Files, source: &Source, guess: &Guess) -> Attempt {
    let path = FieldPath::from_steps(guess.path.clone());
    let layer =
        |file: String| Layer::HelmValues { chart: release.chart.clone(), file, path: path.to_string() };
    let edit = Edit { path: path.clone(), new: guess.new.clone() };
    match &source.at {
        At::Subchart => Attempt {
            layer: layer(release.chart.clone()),
            make: Make::Made(Err("the defaults of a chart in the chart are not edited".to_owned())),
        },
        At::Defaults { file } | At::File { file } => {
            Attempt { layer: layer(file.clone()), make: Make::Made(in_file(files, file, edit)) }
        }
        At::Manifest { index } => {
            let file = match release.values.get(*index) {
                Some(super::Values::Manifest(manifest)) => manifest.object.to_string(),
                _ => String::new(),
            };
            Attempt { layer: layer(file), make: Make::Elsewhere { manifest: *index, edits: vec![edit] } }
        }
    }
}

fn in_file(files: &Files, file: &str, edit: Edit) -> Result<Made, String> {
    let text = files.get(file).map(String::as_str).unwrap_or_default();
    if documents::read(text).is_ok_and(|documents| documents.is_empty()) {
        // Nothing but comments, so there is no document to edit.
        let value = nested(edit.path.steps(), &edit.new).ok_or("the file has no such list")?;
        let line = text.lines().count() + 1;
        let separator = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Ok(Made::one(file, format!("{text}{separator}{}", written::block(&value)), line));
    }
    fields(files, file, 0, &[edit])
}

/// Edits of values as edits of the object that holds them.
///
/// # Errors
/// When the value cannot be set in that form.
pub(super) fn in_form(
    form: Form,
    field: &FieldPath,
    object: &Value,
    edits: &[Edit],
) -> Result<Vec<Edit>, String> {
    let held = field.locate(object).ok().and_then(|place| place.get(object).cloned()).unwrap_or_default();
    let at = |steps: &[Step]| FieldPath::from_steps(field.steps().iter().chain(steps).cloned().collect());
    match form {
        Form::Mapping => Ok(edits
            .iter()
            .map(|Edit { path, new }| Edit { path: at(path.steps()), new: new.clone() })
            .collect()),
        Form::Text => {
            let text = held.as_str().unwrap_or_default();
            let edited = edit::apply(text, 0, edits).map_err(|error| error.to_string())?;
            Ok(vec![Edit { path: field.clone(), new: edited.text.into() }])
        }
        Form::Parameters => edits
            .iter()
            .map(|Edit { path, new }| {
                let parameters = held.as_array().into_iter().flatten();
                let index = parameters
                    .enumerate()
                    .find(|(_, one)| {
                        keys(one["name"].as_str().unwrap_or_default()).as_deref() == Some(path.steps())
                    })
                    .map(|(index, _)| index)
                    .ok_or_else(|| format!("there is no parameter {path}"))?;
                let text = match new {
                    Value::String(text) => text.clone(),
                    Value::Bool(_) | Value::Number(_) => new.to_string(),
                    Value::Null | Value::Array(_) | Value::Object(_) => {
                        return Err("a parameter is a text".to_owned());
                    }
                };
                let steps = [Step::Index(index), Step::Key("value".to_owned())];
                Ok(Edit { path: at(&steps), new: text.into() })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{At, Edit, Effective, FieldPath, Form, Guess, Source, in_form, seats};

    #[test]
    fn the_layer_of_the_release_is_edited_and_not_the_defaults() {
        let source = |at: At, value| Source { at, value };
        let file = |file: &str| At::File { file: file.into() };
        let sources = [
            source(At::Defaults { file: "values.yaml".into() }, json!({"a": 1, "b": 1, "c": 1})),
            source(file("one.yaml"), json!({"b": 2, "c": 2})),
            source(file("two.yaml"), json!({"c": 3})),
        ];
        let effective = Effective::of(&sources);
        let seats = |key: &str, sources: &[Source]| -> Vec<String> {
            let guess = Guess { path: FieldPath::of_keys(&[key]).steps().to_vec(), new: json!(9) };
            seats(sources, &effective, &guess)
                .into_iter()
                .map(|source| match &source.at {
                    At::Defaults { file } | At::File { file } => file.clone(),
                    _ => String::new(),
                })
                .collect()
        };
        assert_eq!(seats("a", &sources), ["two.yaml"]);
        assert_eq!(seats("b", &sources), ["one.yaml", "two.yaml"]);
        assert_eq!(seats("c", &sources), ["two.yaml"]);
        assert_eq!(seats("a", &sources[..1]), ["values.yaml"]);
    }

    #[test]
    fn values_in_manifests_are_edited_in_their_form() {
        let object = json!({"spec": {"values": "# ours\na:\n  b: 1\n",
            "parameters": [{"name": "x", "value": "0"}, {"name": "a.b", "value": "1"}]}});
        let edits = [Edit { path: "a.b".parse().unwrap(), new: json!(2) }];
        let formed =
            |form, field: &str| in_form(form, &field.parse().unwrap(), &object, &edits).unwrap().remove(0);
        let mapping = formed(Form::Mapping, "spec.other");
        assert_eq!((mapping.path.to_string().as_str(), mapping.new), ("spec.other.a.b", json!(2)));
        let text = formed(Form::Text, "spec.values");
        assert_eq!(text.new, json!("# ours\na:\n  b: 2\n"));
        let parameter = formed(Form::Parameters, "spec.parameters");
        assert_eq!(
            (parameter.path.to_string().as_str(), parameter.new),
            ("spec.parameters[1].value", json!("2"))
        );
    }
}
