//! All candidates for one edit of a kustomized object, the outermost level first. Pure.

use serde_json::Value;

use super::{additions, generators, patches, transformers};
use crate::changes::{
    documents,
    edit::Edit,
    layers::{
        Layer, Part,
        attempt::{Attempt, Made, Make, fields},
    },
    path::{FieldPath, Located, Step},
    source::{Files, Kustomizations, paths::join, plain::sealed},
};

/// What candidates are made from.
pub(super) struct Wanted<'a> {
    pub(super) files: &'a Files,
    pub(super) kustomizations: &'a Kustomizations,
    pub(super) root: &'a str,
    /// As it is built now.
    pub(super) object: &'a Value,
    pub(super) edit: &'a Edit,
    /// The edit's path with names in place of positions, where items have names: positions differ between layers.
    pub(super) path: FieldPath,
    /// The edit's path in the object as it is built.
    pub(super) located: Vec<Located>,
}

/// One level: a kustomization file.
#[derive(Clone, Copy)]
pub(super) struct Level<'a> {
    pub(super) folder: &'a str,
    pub(super) file: &'a str,
    pub(super) value: &'a Value,
}

/// A document of a resource file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resource {
    pub(super) file: String,
    pub(super) document: usize,
    pub(super) value: Value,
}

pub(super) fn of(files: &Files, root: &str, object: &Value, edit: &Edit) -> Vec<Attempt> {
    let kustomizations = Kustomizations::read(files);
    let Ok(place) = edit.path.locate(object) else { return Vec::new() };
    let path = by_name(object, &edit.path);
    let wanted =
        Wanted { files, kustomizations: &kustomizations, root, object, edit, path, located: place.steps };
    wanted.attempts()
}

impl Wanted<'_> {
    fn attempts(&self) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        let mut resources = Vec::new();
        let levels = self.kustomizations.levels(self.root);
        let levels = levels.iter().filter_map(|folder| self.level(folder));
        for level in levels {
            transformers::images(self, level, &mut attempts);
            transformers::replicas(self, level, &mut attempts);
            patches::present(self, level, &mut attempts);
            generators::literals(self, level, &mut attempts);
            resources.extend(
                self::resources(self.files, self.kustomizations, level.folder)
                    .filter(|resource| self.is_of_object(&resource.value)),
            );
        }
        // The longest name is the one that least was put around.
        resources.sort_by_key(|one: &Resource| {
            std::cmp::Reverse(one.value["metadata"]["name"].as_str().map_or(0, str::len))
        });
        for Resource { file, document, value } in &resources {
            let made = match sealed(value) {
                Some(why) => Err(why.to_owned()),
                None => self.fields_of(file, *document, self.edit_by_name()),
            };
            attempts.push(self.attempt(file, Part::Resource, made));
        }
        // What is encrypted is not overridden in the open.
        let is_sealed = resources.first().is_some_and(|one| sealed(&one.value).is_some());
        if let Some(level) = self.level(self.root).filter(|_| !is_sealed) {
            additions::all(self, level, resources.first(), &mut attempts);
        }
        attempts
    }

    fn level<'a>(&'a self, folder: &'a str) -> Option<Level<'a>> {
        let one = self.kustomizations.at(folder)?;
        Some(Level { folder, file: &one.file, value: &one.value })
    }

    /// Of the kind of the object, and with a name that its name may have been made from.
    pub(super) fn is_of_object(&self, document: &Value) -> bool {
        let name = |value: &Value| value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        document["kind"] == self.object["kind"] && {
            let own = name(document);
            !own.is_empty() && name(self.object).contains(&own)
        }
    }

    pub(super) fn edit_by_name(&self) -> Edit {
        Edit { path: self.path.clone(), new: self.edit.new.clone() }
    }

    pub(super) fn fields_of(&self, file: &str, document: usize, edit: Edit) -> Result<Made, String> {
        fields(self.files, file, document, &[edit])
    }

    /// A file that others are built from as well is left alone.
    pub(super) fn attempt(&self, file: &str, part: Part, made: Result<Made, String>) -> Attempt {
        let made = made.and_then(|made| {
            let other = made.texts.keys().find_map(|file| self.kustomizations.other_user(self.root, file));
            match other {
                Some(other) => Err(format!("is also used by {other}")),
                None => Ok(made),
            }
        });
        let layer = Layer::Kustomize { overlay: self.root.to_owned(), file: file.to_owned(), part };
        Attempt { layer, make: Make::Made(made) }
    }

    /// What the object says there now.
    pub(super) fn old(&self) -> Option<&Value> {
        self.located.iter().try_fold(self.object, |value, step| match step {
            Located::Key(key) => value.get(key),
            Located::Index(index) => value.get(index),
        })
    }
}

/// The documents of the files that a level names as resources.
pub(super) fn resources<'a>(
    files: &'a Files,
    kustomizations: &'a Kustomizations,
    folder: &'a str,
) -> impl Iterator<Item = Resource> + 'a {
    let named = kustomizations.at(folder).into_iter().flat_map(|one| one.value["resources"].as_array());
    named.flatten().filter_map(Value::as_str).filter_map(move |text| join(folder, text)).flat_map(
        move |file| {
            let read = files.get(&file).and_then(|text| documents::read(text).ok()).unwrap_or_default();
            read.into_iter().enumerate().map(move |(document, found)| Resource {
                file: file.clone(),
                document,
                value: found.value,
            })
        },
    )
}

/// The path with `[name=web]` in place of `[0]` where that item has a name that no other has.
pub(super) fn by_name(object: &Value, path: &FieldPath) -> FieldPath {
    let mut here = Some(object);
    let mut steps = Vec::new();
    for step in path.steps() {
        let next = here.and_then(|value| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
            Step::Select { key, value: wanted } => value.as_array()?.iter().find(|item| {
                item[key].as_str().map_or_else(|| item[key].to_string(), ToOwned::to_owned) == *wanted
            }),
        });
        steps.push(match (step, here, next) {
            (Step::Index(_), Some(Value::Array(items)), Some(item)) => match item["name"].as_str() {
                Some(name) if items.iter().filter(|other| other["name"] == name).count() == 1 => {
                    Step::Select { key: "name".to_owned(), value: name.to_owned() }
                }
                _ => step.clone(),
            },
            _ => step.clone(),
        });
        here = next;
    }
    FieldPath::from_steps(steps)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Edit, Files, Make, by_name, of};

    pub(in crate::changes::layers::kustomize) fn web() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "prod-web", "namespace": "shop"},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "proxy", "image": "proxy:1"}, {"name": "web", "image": "reg.example.com:5000/web:1.0"}]}}}})
    }

    /// The layers that are tried, with what was found against them before any rendering.
    fn tried(files: &[(&str, &str)], path: &str, new: Value) -> Vec<String> {
        let files: Files = files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        let edit = Edit { path: path.parse().unwrap(), new };
        of(&files, "prod/", &web(), &edit)
            .into_iter()
            .map(|attempt| match attempt.make {
                Make::Made(Ok(_)) => attempt.layer.to_string(),
                Make::Made(Err(why)) => format!("{}: {why}", attempt.layer),
                Make::Elsewhere { .. } => unreachable!(),
            })
            .collect()
    }

    const BASE: (&str, &str) = (
        "base/web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n",
    );
    const BASE_KUSTOMIZATION: (&str, &str) = ("base/kustomization.yaml", "resources: [web.yaml]\n");

    #[test]
    fn the_overlay_stands_before_the_base() {
        let overlay = (
            "prod/kustomization.yaml",
            "resources: [../base]\nnamePrefix: prod-\nreplicas:\n- {name: web, count: 2}\npatches:\n- path: p.yaml\n",
        );
        let patch = ("prod/p.yaml", "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n");
        let tried = tried(&[BASE, BASE_KUSTOMIZATION, overlay, patch], "spec.replicas", json!(5));
        assert_eq!(
            tried[..3],
            [
                "replicas in prod/kustomization.yaml (kustomization prod/)",
                "the patch in prod/p.yaml (kustomization prod/)",
                "the resource in base/web.yaml (kustomization prod/)"
            ]
        );
        assert!(tried[3].starts_with("a new patch in prod/"), "{tried:?}");
    }

    #[test]
    fn a_shared_base_is_left_alone() {
        let overlays = [
            ("prod/kustomization.yaml", "resources: [../base]\n"),
            ("dev/kustomization.yaml", "resources: [../base]\n"),
        ];
        let tried = tried(&[BASE, BASE_KUSTOMIZATION, overlays[0], overlays[1]], "spec.replicas", json!(5));
        assert!(tried[0].ends_with("is also used by dev/kustomization.yaml"), "{tried:?}");
        assert!(tried[1].starts_with("a new patch"), "{tried:?}");
    }

    #[test]
    fn positions_become_names() {
        let path = "spec.template.spec.containers[1].image".parse().unwrap();
        assert_eq!(by_name(&web(), &path).to_string(), "spec.template.spec.containers[name=web].image");
    }
}
