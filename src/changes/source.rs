//! From an object to the document in a repository that says it. What is not certain is refused, never guessed.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use super::{
    documents::{self, line_of},
    identity::Target,
};

/// A file of the repository that could hold the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// Where the document stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// Into the files that were given.
    pub(super) file: usize,
    /// Into [`documents::read`] of that file.
    pub(super) document: usize,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SourceError {
    #[error("{target} stands in several places ({}): remove the copies, or say which with repository or a narrower path in the configuration", .places.join(", "))]
    Several { target: String, places: Vec<String> },
    #[error("{target} is not in {}{}", .searched, listed(.notes))]
    None { target: String, searched: Searched, notes: Vec<String> },
    #[error("{target} in {place} {why}")]
    NotPlain { target: String, place: String, why: String },
}

fn listed(notes: &[String]) -> String {
    notes.iter().map(|note| format!("; {note}")).collect()
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Searched {
    files: Vec<String>,
    prefix: String,
}

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = if self.prefix.is_empty() { "the repository" } else { self.prefix.as_str() };
        write!(f, "the {} YAML files of {folder} that were searched", self.files.len())?;
        let shown = 10.min(self.files.len());
        if shown > 0 {
            write!(
                f,
                " ({}{})",
                self.files[..shown].join(", "),
                if self.files.len() > shown { ", …" } else { "" }
            )?;
        }
        Ok(())
    }
}

/// Whether a file is read at all: those below the prefix, and every kustomization and chart, since they may
/// decide about others.
pub(super) fn is_read(path: &str, prefix: &str) -> bool {
    is_kustomization(path) || (is_yaml(path) && path.starts_with(prefix))
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

fn is_kustomization(path: &str) -> bool {
    matches!(base(path), "kustomization.yaml" | "kustomization.yml" | "Kustomization")
}

/// Finds the one document.
///
/// `charts` are the folders, with a slash at their end, that hold a Chart.yaml.
///
/// # Errors
/// When it is not there, there more than once, or not a plain manifest.
pub(super) fn find(
    files: &[File],
    charts: &BTreeSet<String>,
    target: &Target,
    prefix: &str,
    namespace: Option<&str>,
) -> Result<Hit, SourceError> {
    let mut hits = Vec::new();
    let mut searched = Vec::new();
    let mut notes = Vec::new();
    for (index, file) in files.iter().enumerate() {
        if !is_yaml(&file.path) || !file.path.starts_with(prefix) || is_kustomization(&file.path) {
            continue;
        }
        if let Some(chart) = charts.iter().find(|chart| file.path.starts_with(&format!("{chart}templates/")))
        {
            if mentions_kind(&file.text, &target.kind) {
                notes.push(format!("{} is a Helm template that makes such objects: change the values of the chart {chart} by hand", file.path));
            }
            continue;
        }
        searched.push(file.path.clone());
        // A document that names the object holds its name as it is; the rest need not be parsed.
        if !file.text.contains(&target.name) {
            continue;
        }
        let documents = match documents::read(&file.text) {
            Ok(documents) => documents,
            Err(problem) => {
                notes.push(format!("{} holds the name but was not read ({problem})", file.path));
                continue;
            }
        };
        for (document, found) in documents.iter().enumerate() {
            let place =
                || format!("{}:{}", file.path, line_of(&file.text, start(&file.text, found.range.start)));
            match matches(&found.value, target, namespace) {
                Match::Yes => hits.push((Hit { file: index, document }, place(), found.value.clone())),
                Match::Near(why) => notes.push(format!("{} {why}", place())),
                Match::No => {}
            }
        }
    }
    let mut hits = hits.into_iter();
    match (hits.next(), hits.next()) {
        (None, _) => Err(SourceError::None {
            target: target.to_string(),
            searched: Searched { files: searched, prefix: prefix.to_owned() },
            notes,
        }),
        (Some((hit, place, value)), None) => match not_plain(&files[hit.file].path, &value, files) {
            Some(why) => Err(SourceError::NotPlain { target: target.to_string(), place, why }),
            None => Ok(hit),
        },
        (Some(first), Some(second)) => {
            let places = [first, second].into_iter().chain(hits).map(|(_, place, _)| place).collect();
            Err(SourceError::Several { target: target.to_string(), places })
        }
    }
}

/// The first byte of the document's own text, past the rest of its marker line and blank lines.
fn start(text: &str, from: usize) -> usize {
    let rest = &text[from..];
    let own = rest.split_inclusive('\n').scan(0, |at, line| {
        let here = *at;
        *at += line.len();
        Some((here, line.trim()))
    });
    own.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, _)| from + at)
        .next()
        .unwrap_or(from)
}

enum Match {
    Yes,
    /// Says what is different.
    Near(String),
    No,
}

fn matches(document: &Value, target: &Target, default: Option<&str>) -> Match {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(ToOwned::to_owned);
    let kind = text(document.get("kind")).unwrap_or_default();
    if kind.ends_with("List")
        && let Some(items) = document.get("items").and_then(Value::as_array)
        && items.iter().any(|item| !matches!(matches(item, target, default), Match::No))
    {
        return Match::Near(format!(
            "holds it inside a {kind}, which is not edited: make it a document of its own"
        ));
    }
    let group = text(document.get("apiVersion"))
        .map(|version| version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned()));
    let metadata = document.get("metadata");
    if !kind.eq_ignore_ascii_case(&target.kind)
        || text(metadata.and_then(|metadata| metadata.get("name"))).as_ref() != Some(&target.name)
        || target.group.as_ref().is_some_and(|wanted| group.as_ref() != Some(wanted))
    {
        return Match::No;
    }
    let own = text(metadata.and_then(|metadata| metadata.get("namespace")));
    match (&own, &target.namespace) {
        (Some(own), Some(wanted)) if own == wanted => Match::Yes,
        (Some(own), Some(_)) => Match::Near(format!("has the same kind and name in namespace {own}")),
        (Some(own), None) => Match::Near(format!("has it in namespace {own}: name the namespace")),
        (None, None) => Match::Yes,
        (None, Some(wanted)) if default == Some(wanted) => Match::Yes,
        (None, Some(_)) => Match::Near(match default {
            Some(default) => format!("has it without a namespace, which here means {default}"),
            None => "has it without a namespace: set namespace for this repository in the configuration if that is the one".to_owned(),
        }),
    }
}

fn not_plain(path: &str, document: &Value, files: &[File]) -> Option<String> {
    if document.get("sops").is_some() {
        return Some("is encrypted with SOPS: change it with sops by hand".to_owned());
    }
    let layer = files.iter().filter(|file| is_kustomization(&file.path)).find(|file| {
        folder(&file.path) == folder(path) || references(file).iter().any(|other| other == path)
    })?;
    Some(format!(
        "is part of the kustomization {}, whose layers may decide the value: kustomize sources are not edited yet, change it by hand",
        layer.path
    ))
}

/// The files that a kustomization names.
fn references(kustomization: &File) -> Vec<String> {
    let Ok(value) = documents::parse(&kustomization.text) else { return Vec::new() };
    let Some(fields) = value.as_object() else { return Vec::new() };
    let lists = fields.values().filter_map(Value::as_array).flatten();
    lists
        .filter_map(|item| item.as_str().or_else(|| item.get("path").and_then(Value::as_str)))
        .filter_map(|path| join(folder(&kustomization.path), path))
        .collect()
}

fn join(folder: &str, path: &str) -> Option<String> {
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

fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..=at])
}

fn base(path: &str) -> &str {
    path.rfind('/').map_or(path, |at| &path[at + 1..])
}

/// The folder of a chart, when the path is a Chart.yaml.
pub(super) fn chart(path: &str) -> Option<String> {
    (base(path) == "Chart.yaml").then(|| folder(path).to_owned())
}

fn mentions_kind(text: &str, kind: &str) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("kind:"))
        .any(|found| found.trim().trim_matches(['"', '\'']).eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::BTreeSet;

    use super::{File, Hit, chart, find};
    use crate::changes::identity::Target;

    fn doc(kind: &str, namespace: &str, name: &str) -> String {
        let namespace =
            if namespace.is_empty() { String::new() } else { format!("  namespace: {namespace}\n") };
        format!("apiVersion: apps/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{namespace}")
    }

    fn search(
        files: &[(&str, String)],
        wanted: (&str, Option<&str>, &str),
        default: Option<&str>,
    ) -> Result<Hit, String> {
        let files: Vec<_> =
            files.iter().map(|(path, text)| File { path: (*path).into(), text: text.clone() }).collect();
        let charts: BTreeSet<_> = files.iter().filter_map(|file| chart(&file.path)).collect();
        let (kind, group) =
            wanted.0.split_once('.').map_or((wanted.0, None), |(kind, group)| (kind, Some(group)));
        let target = Target {
            kind: kind.into(),
            group: group.map(Into::into),
            namespace: wanted.1.map(Into::into),
            name: wanted.2.into(),
        };
        find(&files, &charts, &target, "", default).map_err(|error| error.to_string())
    }

    #[test]
    fn one_document_among_many() {
        let many =
            format!("# top\n---\n{}---\n{}", doc("Service", "shop", "web"), doc("Deployment", "shop", "web"));
        let files = [("a.yaml", doc("Deployment", "other", "web")), ("b/c.yml", many)];
        for kind in ["Deployment", "deployment", "Deployment.apps"] {
            assert_eq!(search(&files, (kind, Some("shop"), "web"), None), Ok(Hit { file: 1, document: 1 }));
        }
        assert!(search(&files, ("Deployment.extensions", Some("shop"), "web"), None).is_err());
    }

    #[test]
    fn several_are_named() {
        let files =
            [("a.yaml", doc("Deployment", "shop", "web")), ("b.yaml", doc("Deployment", "shop", "web"))];
        let said = search(&files, ("Deployment", Some("shop"), "web"), None).unwrap_err();
        assert!(said.contains("several places (a.yaml:1, b.yaml:1)"), "{said}");
    }

    #[test]
    fn none_says_what_was_searched_and_what_is_near() {
        let files = [("a.yaml", doc("Deployment", "", "web")), ("bad.yaml", "web: [\n".to_owned())];
        let said = search(&files, ("Deployment", Some("shop"), "web"), None).unwrap_err();
        for part in [
            "2 YAML files",
            "a.yaml, bad.yaml",
            "a.yaml:1 has it without a namespace",
            "bad.yaml holds the name",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(search(&files, ("Deployment", Some("shop"), "web"), Some("shop")).is_ok());
        assert!(search(&files, ("Deployment", None, "web"), None).is_ok());
    }

    #[test]
    fn layers_and_templates_are_not_guessed() {
        let web = || doc("Deployment", "shop", "web");
        let wanted = ("Deployment", Some("shop"), "web");
        let near = [("k/kustomization.yaml", "resources: [web.yaml]\n".to_owned()), ("k/web.yaml", web())];
        assert!(search(&near, wanted, None).unwrap_err().contains("kustomization k/kustomization.yaml"));
        let far = [
            ("o/kustomization.yaml", "resources: [../base/web.yaml]\n".to_owned()),
            ("base/web.yaml", web()),
        ];
        assert!(search(&far, wanted, None).unwrap_err().contains("o/kustomization.yaml"));
        let helm = [
            ("c/Chart.yaml", "name: c\n".to_owned()),
            ("c/templates/d.yaml", "kind: Deployment\nmetadata: {name: {{ .x }}}\n".to_owned()),
        ];
        assert!(search(&helm, wanted, None).unwrap_err().contains("Helm template"));
        let sops = [("s.yaml", format!("{}sops: {{mac: x}}\n", web()))];
        assert!(search(&sops, wanted, None).unwrap_err().contains("SOPS"));
        let list = [(
            "l.yaml",
            "kind: List\nitems:\n- kind: Deployment\n  metadata: {name: web, namespace: shop}\n".to_owned(),
        )];
        assert!(search(&list, wanted, None).unwrap_err().contains("inside a List"));
    }
}
