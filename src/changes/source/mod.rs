//! From a live object to its place in a configured repository.
//!
//! [`place`] reads what the object's appliers say into a [`Place`]; [`plain`] finds the document of a plain manifest,
//! [`kustomizations`] knows which files are built by which kustomization. All of it is pure.

mod address;
mod argo;
mod flux;
pub(in crate::changes) mod kustomizations;
pub(in crate::changes) mod paths;
mod place;
pub(in crate::changes) mod plain;
mod way;

use std::collections::{BTreeMap, BTreeSet};

pub(in crate::changes) use kustomizations::Kustomizations;
pub(in crate::changes) use place::{NoPlace, Place, place};
pub(in crate::changes) use way::{Chart, Folder, Form, Manifest, Standing, Values, Way};

/// The texts of a repository's files, by path.
pub(in crate::changes) type Files = BTreeMap<String, String>;

/// Which of a commit's files must be read: YAML below the prefix, and everything of a kustomization or a chart,
/// since those are built from files of any kind.
pub(in crate::changes) fn read<'a>(paths: &[&'a str], prefix: &str) -> BTreeSet<&'a str> {
    let built: BTreeSet<&str> = paths
        .iter()
        .filter(|path| paths::is_kustomization(path) || paths::chart(path).is_some())
        .map(|path| paths::folder(path))
        .collect();
    let is_built = |path: &str| {
        let mut folder = paths::folder(path);
        loop {
            if built.contains(folder) {
                return true;
            }
            match folder.strip_suffix('/') {
                Some(parent) => folder = paths::folder(parent),
                None => return false,
            }
        }
    };
    // A kustomization at the root does not make all of a large repository a part of it.
    let wanted = |path: &str| {
        paths::is_kustomization(path)
            || (paths::is_yaml(path) && path.starts_with(prefix))
            || (is_built(path) && is_material(path))
    };
    paths.iter().copied().filter(|path| wanted(path)).collect()
}

/// What is never built into manifests, and may be much.
fn is_material(path: &str) -> bool {
    const NEVER: [&str; 14] = [
        ".md", ".go", ".rs", ".py", ".js", ".ts", ".png", ".svg", ".jpg", ".gif", ".ico", ".lock", ".sum",
        ".html",
    ];
    !NEVER.iter().any(|ending| path.ends_with(ending))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_built_is_read_whole() {
        let paths = [
            "apps/web.yaml",
            "apps/readme.txt",
            "base/kustomization.yaml",
            "base/conf/app.properties",
            "chart/Chart.yaml",
            "chart/templates/_names.tpl",
            "chart/README.md",
            "other/x.yaml",
        ];
        let read: Vec<_> = super::read(&paths, "apps/").into_iter().collect();
        assert_eq!(
            read,
            [
                "apps/web.yaml",
                "base/conf/app.properties",
                "base/kustomization.yaml",
                "chart/Chart.yaml",
                "chart/templates/_names.tpl"
            ]
        );
    }
}
