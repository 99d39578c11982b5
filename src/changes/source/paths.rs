//! Paths inside a repository: with slashes, relative to its root, a folder with a slash at its end.

/// `a/b/` of `a/b/c.yaml`; nothing of a file at the root.
pub(in crate::changes) fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..=at])
}

/// `c.yaml` of `a/b/c.yaml`.
pub(in crate::changes) fn base(path: &str) -> &str {
    path.rfind('/').map_or(path, |at| &path[at + 1..])
}

/// Where `path` leads from `folder`, without a slash at its end; nothing when that is outside of the repository.
pub(in crate::changes) fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// As [`join`], for what is a folder: with a slash at its end, and nothing for the root.
pub(in crate::changes) fn join_folder(folder: &str, path: &str) -> Option<String> {
    let joined = join(folder, path)?;
    Some(if joined.is_empty() { joined } else { format!("{joined}/") })
}

pub(in crate::changes) fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

pub(in crate::changes) fn is_kustomization(path: &str) -> bool {
    matches!(base(path), "kustomization.yaml" | "kustomization.yml" | "Kustomization")
}

/// The folder of a chart, when the path is a Chart.yaml.
pub(in crate::changes) fn chart(path: &str) -> Option<String> {
    (base(path) == "Chart.yaml").then(|| folder(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{chart, join, join_folder};

    #[test]
    fn paths_stay_in_the_repository() {
        assert_eq!(join("a/b/", "../c/./d.yaml").as_deref(), Some("a/c/d.yaml"));
        assert_eq!(join("a/", "../../x"), None);
        assert_eq!(join_folder("a/", ".."), Some(String::new()));
        assert_eq!(join_folder("", "./a/b"), Some("a/b/".to_owned()));
        assert_eq!(chart("x/Chart.yaml").as_deref(), Some("x/"));
    }
}
