//! The kustomizations of a repository, and which files each of them is made from. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Files,
    paths::{folder, is_kustomization, join, join_folder},
};
use crate::changes::documents;

/// One kustomization file.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::changes) struct Kustomization {
    pub(in crate::changes) file: String,
    /// Empty where it could not be read.
    pub(in crate::changes) value: Value,
}

/// All of them, by their folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::changes) struct Kustomizations {
    all: BTreeMap<String, Kustomization>,
    /// Of each folder, what it names that is in the repository: files, and folders with a slash at their end.
    named: BTreeMap<String, BTreeSet<String>>,
    /// Of each folder, what it names that is not in the repository.
    strange: BTreeMap<String, Vec<String>>,
}

/// What names folders and files to be built from.
const SOURCES: [&str; 3] = ["resources", "bases", "components"];
/// What names other files: a text, or a `path` in an item.
const PARTS: [&str; 9] = [
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "transformers",
    "generators",
    "validators",
    "configurations",
    "crds",
    "replacements",
];

impl Kustomizations {
    pub(in crate::changes) fn read(files: &Files) -> Self {
        let mut read = Self::default();
        for (path, text) in files.iter().filter(|(path, _)| is_kustomization(path)) {
            let value = documents::parse(text).unwrap_or_default();
            let kustomization = Kustomization { file: path.clone(), value };
            read.all.insert(folder(path).to_owned(), kustomization);
        }
        for (at, Kustomization { file, value }) in &read.all {
            let mut named = BTreeSet::from([file.clone()]);
            let mut strange = Vec::new();
            for text in sources(value) {
                let leads = (!is_remote(text))
                    .then(|| {
                        let file = join(at, text).filter(|path| files.contains_key(path));
                        file.or_else(|| join_folder(at, text).filter(|folder| read.all.contains_key(folder)))
                    })
                    .flatten();
                match leads {
                    Some(leads) => drop(named.insert(leads)),
                    None => strange.push(text.to_owned()),
                }
            }
            for text in parts(value) {
                match join(at, text).filter(|path| files.contains_key(path)) {
                    Some(path) => drop(named.insert(path)),
                    // Inline text and what is generated have no file; an address has none either and is told.
                    None if is_remote(text) && !text.contains('\n') => strange.push(text.to_owned()),
                    None => {}
                }
            }
            read.named.insert(at.clone(), named);
            read.strange.insert(at.clone(), strange);
        }
        read
    }

    pub(in crate::changes) fn at(&self, folder: &str) -> Option<&Kustomization> {
        self.all.get(folder)
    }

    /// The folder itself and those that it is built from, the outermost first.
    pub(in crate::changes) fn levels(&self, root: &str) -> Vec<&str> {
        let Some((root, _)) = self.all.get_key_value(root) else { return Vec::new() };
        let mut levels = vec![root.as_str()];
        let mut at = 0;
        while let Some(folder) = levels.get(at) {
            let below = self.named.get(*folder).into_iter().flatten().filter(|named| self.is_folder(named));
            let new: Vec<_> = below.map(String::as_str).filter(|named| !levels.contains(named)).collect();
            levels.extend(new);
            at += 1;
        }
        levels
    }

    fn is_folder(&self, named: &str) -> bool {
        self.all.contains_key(named)
    }

    /// The files that are read when the folder is built.
    pub(in crate::changes) fn reach(&self, root: &str) -> BTreeSet<&str> {
        let levels = self.levels(root);
        let named = levels.iter().filter_map(|folder| self.named.get(*folder)).flatten();
        named.map(String::as_str).filter(|named| !self.is_folder(named)).collect()
    }

    /// The folders that no other is built from.
    pub(in crate::changes) fn roots(&self) -> Vec<&str> {
        let used: BTreeSet<_> = self
            .named
            .iter()
            .flat_map(|(at, named)| named.iter().filter(move |named| *named != at))
            .collect();
        self.all
            .iter()
            .filter(|(folder, one)| !used.contains(folder) && one.value["kind"] != "Component")
            .map(|(folder, _)| folder.as_str())
            .collect()
    }

    /// What the folder, or one that it is built from, names that is not in the repository.
    pub(in crate::changes) fn strange(&self, root: &str) -> Option<(&str, &str)> {
        self.levels(root).into_iter().find_map(|folder| {
            let strange = self.strange.get(folder)?.first()?;
            Some((self.all.get(folder)?.file.as_str(), strange.as_str()))
        })
    }

    /// Of each file that a kustomization names, one that does.
    pub(in crate::changes) fn users(&self) -> BTreeMap<String, String> {
        let mut users = BTreeMap::new();
        for (at, named) in &self.named {
            let Some(one) = self.all.get(at) else { continue };
            for file in named.iter().filter(|named| !self.is_folder(named)) {
                users.entry(file.clone()).or_insert_with(|| one.file.clone());
            }
        }
        users
    }

    /// Another kustomization that is built with this file and is no part of `root`.
    pub(in crate::changes) fn other_user(&self, root: &str, file: &str) -> Option<&str> {
        let own = self.levels(root);
        self.all
            .iter()
            .filter(|(folder, _)| !own.contains(&folder.as_str()))
            .find(|(folder, _)| self.reach(folder).contains(file))
            .map(|(_, one)| one.file.as_str())
    }
}

fn sources(value: &Value) -> impl Iterator<Item = &str> {
    SOURCES.iter().filter_map(|key| value[*key].as_array()).flatten().filter_map(Value::as_str)
}

/// Texts that may be paths, in what patches and generators name.
fn parts(value: &Value) -> Vec<&str> {
    let mut parts: Vec<&str> = PARTS
        .iter()
        .filter_map(|key| value[*key].as_array())
        .flatten()
        .filter_map(|item| item.as_str().or_else(|| item["path"].as_str()))
        .collect();
    for generator in ["configMapGenerator", "secretGenerator"] {
        for item in value[generator].as_array().into_iter().flatten() {
            let lists = ["files", "envs"].into_iter().filter_map(|key| item[key].as_array()).flatten();
            parts.extend(lists.filter_map(Value::as_str).chain(item["env"].as_str()).map(after_key));
        }
    }
    parts.extend(value["openapi"]["path"].as_str());
    parts
}

/// `KEY=path` names the path.
fn after_key(text: &str) -> &str {
    text.split_once('=').map_or(text, |(_, path)| path)
}

/// Whether kustomize would fetch it from elsewhere.
fn is_remote(text: &str) -> bool {
    text.contains("://")
        || text.contains("?ref=")
        || text.starts_with("git@")
        || text.starts_with("github.com")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::{Files, Kustomizations};

    fn read(files: &[(&str, &str)]) -> Kustomizations {
        let files: Files = files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        Kustomizations::read(&files)
    }

    #[test]
    fn roots_levels_and_users() {
        let read = read(&[
            ("base/kustomization.yaml", "resources: [web.yaml]\n"),
            ("base/web.yaml", "kind: Deployment\n"),
            ("over/prod/kustomization.yaml", "resources: [../../base]\npatches:\n- path: p.yaml\n"),
            ("over/prod/p.yaml", "kind: Deployment\n"),
            (
                "over/dev/kustomization.yaml",
                "resources: [../../base]\nconfigMapGenerator:\n- name: c\n  files: [a=c.txt]\n",
            ),
            ("over/dev/c.txt", "x"),
        ]);
        assert_eq!(read.roots(), ["over/dev/", "over/prod/"]);
        assert_eq!(read.levels("over/prod/"), ["over/prod/", "base/"]);
        assert!(read.reach("over/dev/").contains("over/dev/c.txt"));
        assert_eq!(read.other_user("over/prod/", "base/web.yaml"), Some("over/dev/kustomization.yaml"));
        assert_eq!(read.other_user("over/prod/", "over/prod/p.yaml"), None);
        assert_eq!(read.users()["base/web.yaml"], "base/kustomization.yaml");
        assert_eq!(read.strange("over/prod/"), None);
    }

    #[test]
    fn what_is_not_here_is_known() {
        let read = read(&[
            ("base/kustomization.yaml", "resources: ['https://github.com/x/y//base?ref=v1']\n"),
            ("prod/kustomization.yaml", "resources: [../base]\n"),
            ("gone/kustomization.yaml", "resources: [../nowhere]\n"),
        ]);
        let remote = ("base/kustomization.yaml", "https://github.com/x/y//base?ref=v1");
        assert_eq!(read.strange("prod/"), Some(remote));
        assert_eq!(read.strange("gone/"), Some(("gone/kustomization.yaml", "../nowhere")));
    }
}
