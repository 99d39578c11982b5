//! Patches of a kustomization that say the field already. Pure.

use serde_json::Value;

use super::candidates::{Level, Wanted};
use crate::changes::{
    documents,
    edit::{self, Edit},
    layers::{
        Part,
        attempt::{Attempt, Made, first_difference, key, path},
        splice,
    },
    path::{FieldPath, Located, Step},
    source::paths::join,
};

/// One patch: where its text stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// In the kustomization, of the text itself; for what is written there.
    pub(super) at: FieldPath,
    /// The file, when it has one of its own.
    pub(super) file: Option<String>,
    pub(super) text: String,
}

impl Patch {
    /// The file with this patch's text replaced.
    pub(super) fn with(&self, wanted: &Wanted<'_>, level: Level<'_>, text: &str) -> Result<Made, String> {
        if let Some(file) = &self.file {
            return Ok(Made::one(file, text.to_owned(), first_difference(&self.text, text)));
        }
        let outer = wanted.files.get(level.file).map(String::as_str).unwrap_or_default();
        let after = splice::inner(outer, &self.at, &self.text, text)?;
        let line = first_difference(outer, &after);
        Ok(Made::one(level.file, after, line))
    }

    pub(super) fn shown_file<'a>(&'a self, level: Level<'a>) -> &'a str {
        self.file.as_deref().unwrap_or(level.file)
    }
}

/// All patches of a level that may be of the object, by their selector.
pub(super) fn of_level(wanted: &Wanted<'_>, level: Level<'_>) -> Vec<Patch> {
    let mut patches = Vec::new();
    for list in ["patches", "patchesStrategicMerge", "patchesJson6902"] {
        for (index, entry) in level.value[list].as_array().into_iter().flatten().enumerate() {
            let kind = entry["target"]["kind"].as_str();
            if kind.is_some_and(|kind| wanted.object["kind"] != kind) {
                continue;
            }
            let at = vec![key(list), Step::Index(index)];
            // Of the old list an entry is a path or the patch itself.
            let (text, at) = match (entry.as_str(), entry["patch"].as_str()) {
                (Some(text), _) => (Some(text), at),
                (None, text) => (text, at.into_iter().chain([key("patch")]).collect()),
            };
            let named = entry["path"].as_str().or(text);
            let file = named.and_then(|named| join(level.folder, named));
            let own = file.and_then(|file| Some((wanted.files.get(&file)?.clone(), file)));
            match (own, text) {
                (Some((text, file)), _) => patches.push(Patch { at: path(&at), file: Some(file), text }),
                (None, Some(text)) => {
                    patches.push(Patch { at: path(&at), file: None, text: text.to_owned() });
                }
                (None, None) => {}
            }
        }
    }
    patches
}

/// Patches that say the field.
pub(super) fn present(wanted: &Wanted<'_>, level: Level<'_>, attempts: &mut Vec<Attempt>) {
    for patch in of_level(wanted, level) {
        if let Ok(Value::Array(operations)) = documents::parse(&patch.text) {
            operations.iter().enumerate().for_each(|(index, operation)| {
                json(wanted, level, &patch, index, operation, attempts);
            });
            continue;
        }
        for (document, found) in documents::read(&patch.text).unwrap_or_default().iter().enumerate() {
            let says = wanted.path.locate(&found.value).is_ok_and(|place| place.missing() == 0);
            if !says || !wanted.is_of_object(&found.value) {
                continue;
            }
            let made = edit::apply(&patch.text, document, &[wanted.edit_by_name()])
                .map_err(|error| error.to_string())
                .and_then(|edited| patch.with(wanted, level, &edited.text));
            attempts.push(wanted.attempt(patch.shown_file(level), Part::Patch, made));
        }
    }
}

/// One operation of a JSON patch, when it sets the field or what holds it.
fn json(
    wanted: &Wanted<'_>,
    level: Level<'_>,
    patch: &Patch,
    index: usize,
    operation: &Value,
    attempts: &mut Vec<Attempt>,
) {
    let sets = matches!(operation["op"].as_str(), Some("add" | "replace"));
    let Some(pointer) = operation["path"].as_str().filter(|_| sets) else { return };
    let Some(rest) = below(pointer, &wanted.located) else { return };
    let steps: Vec<_> = [Step::Index(index), key("value")].into_iter().chain(rest).collect();
    if steps.len() == 2 && wanted.edit.new.is_null() {
        return;
    }
    let made = splice::in_list(&patch.text, &steps, &wanted.edit.new)
        .and_then(|text| patch.with(wanted, level, &text));
    attempts.push(wanted.attempt(patch.shown_file(level), Part::JsonPatch, made));
}

/// The steps from where a JSON pointer leads to the field; nothing when it leads elsewhere.
fn below(pointer: &str, located: &[Located]) -> Option<Vec<Step>> {
    let mut located = located.iter();
    for token in pointer.strip_prefix('/')?.split('/') {
        let token = token.replace("~1", "/").replace("~0", "~");
        match located.next()? {
            Located::Key(key) if *key == token => {}
            Located::Index(index) if token == index.to_string() => {}
            _ => return None,
        }
    }
    Some(
        located
            .map(|step| match step {
                Located::Key(name) => key(name),
                Located::Index(index) => Step::Index(*index),
            })
            .collect(),
    )
}

/// The JSON pointer to the field.
pub(super) fn pointer(located: &[Located]) -> String {
    located
        .iter()
        .map(|step| match step {
            Located::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Located::Index(index) => format!("/{index}"),
        })
        .collect()
}

/// The edit that makes a patch's document say the field, from the deepest of its parents that it has already.
pub(super) fn extension(document: &Value, edit: &Edit) -> Option<Edit> {
    let steps = edit.path.steps();
    let is_there = |depth: &usize| {
        let parent = FieldPath::from_steps(steps[..*depth].to_vec());
        parent.locate(document).is_ok_and(|place| place.missing() == 0)
    };
    let depth = (1..steps.len()).rev().find(is_there)?;
    let Some(Step::Key(_)) = steps.get(depth) else { return None };
    let new = crate::changes::layers::attempt::nested(&steps[depth + 1..], &edit.new)?;
    Some(Edit { path: FieldPath::from_steps(steps[..=depth].to_vec()), new })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{Edit, Located, Step, below, extension, pointer};

    fn located() -> Vec<Located> {
        let key = |key: &str| Located::Key(key.into());
        vec![key("metadata"), key("annotations"), key("a/b")]
    }

    #[test]
    fn pointers_lead_to_the_field_or_its_parents() {
        assert_eq!(pointer(&located()), "/metadata/annotations/a~1b");
        assert_eq!(below("/metadata/annotations/a~1b", &located()), Some(vec![]));
        assert_eq!(below("/metadata/annotations", &located()), Some(vec![Step::Key("a/b".into())]));
        assert_eq!(below("/metadata/labels", &located()), None);
        assert_eq!(below("/metadata/annotations/a~1b/c", &located()), None);
    }

    #[test]
    fn a_patch_is_extended_from_its_deepest_parent() {
        let document =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "x"}]}}}});
        let edit = |path: &str| Edit { path: path.parse().unwrap(), new: json!("1Gi") };
        let found =
            extension(&document, &edit("spec.template.spec.containers[name=web].resources.limits.memory"))
                .unwrap();
        assert_eq!(found.path.to_string(), "spec.template.spec.containers[name=web].resources");
        assert_eq!(found.new, json!({"limits": {"memory": "1Gi"}}));
        assert!(extension(&document, &edit("spec.template.spec.containers[name=db].image")).is_none());
        let found = extension(&document, &edit("spec.template.spec.volumes[name=v].size")).unwrap();
        assert_eq!(
            (found.path.to_string().as_str(), found.new),
            ("spec.template.spec.volumes", json!([{"name": "v", "size": "1Gi"}]))
        );
    }
}
