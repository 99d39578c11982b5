//! The document of a plain manifest that says an object. What is not certain is refused, never guessed.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use super::{
    Files,
    kustomizations::Kustomizations,
    paths::{chart, folder, is_kustomization, is_yaml},
};
use crate::changes::{
    documents::{self, line_of},
    identity::Target,
};

/// What is searched of a repository.
#[derive(Clone, Copy, Debug)]
pub(in crate::changes) struct Ground<'a> {
    pub(in crate::changes) files: &'a Files,
    pub(in crate::changes) kustomizations: &'a Kustomizations,
    /// A folder with a slash at its end; empty for all.
    pub(in crate::changes) prefix: &'a str,
    /// Whether what lies deeper than that folder counts.
    pub(in crate::changes) deep: bool,
    /// The namespace of documents that name none.
    pub(in crate::changes) namespace: Option<&'a str>,
}

impl Ground<'_> {
    pub(in crate::changes) fn holds(&self, path: &str) -> bool {
        path.strip_prefix(self.prefix).is_some_and(|rest| self.deep || !rest.contains('/'))
    }
}

/// Where the document stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) struct Hit {
    pub(in crate::changes) file: String,
    /// Into [`documents::read`] of that file.
    pub(in crate::changes) document: usize,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::changes) enum SourceError {
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
pub(in crate::changes) struct Searched {
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

/// Finds the one document that is applied as it stands: no part of a kustomization or a chart's template.
///
/// # Errors
/// When it is not there, there more than once, or not a plain manifest.
pub(in crate::changes) fn find(ground: &Ground<'_>, target: &Target) -> Result<Hit, SourceError> {
    let Ground { files, kustomizations, prefix, deep: _, namespace } = *ground;
    let charts: Vec<_> = files.keys().filter_map(|path| chart(path)).collect();
    let layered = kustomizations.users();
    let mut hits = Vec::new();
    let mut searched = Vec::new();
    let mut notes = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| ground.holds(path)) {
        if !is_yaml(path) || is_kustomization(path) {
            continue;
        }
        if let Some(chart) = charts.iter().find(|chart| path.starts_with(&format!("{chart}templates/"))) {
            if mentions_kind(text, &target.kind) {
                notes.push(format!(
                    "{path} is a template of the chart {chart}, which makes such objects: say under changes.charts in the configuration which release it is and with which values"
                ));
            }
            continue;
        }
        searched.push(path.clone());
        // A document that names the object holds its name as it is; the rest need not be parsed.
        if !text.contains(&target.name) {
            continue;
        }
        let documents = match documents::read(text) {
            Ok(documents) => documents,
            Err(problem) => {
                notes.push(format!("{path} holds the name but was not read ({problem})"));
                continue;
            }
        };
        for (document, found) in documents.iter().enumerate() {
            let place = || format!("{path}:{}", line_of(text, start(text, found.range.start)));
            match (matches(&found.value, target, namespace), user(&layered, path)) {
                (Match::Yes, None) => {
                    hits.push((Hit { file: path.clone(), document }, place(), sealed(&found.value)));
                }
                (Match::Yes, Some(user)) => {
                    notes.push(format!("{} is part of the kustomization {user}", place()));
                }
                (Match::Near(why), _) => notes.push(format!("{} {why}", place())),
                (Match::No, _) => {}
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
        (Some((hit, place, sealed)), None) => match sealed {
            Some(why) => {
                Err(SourceError::NotPlain { target: target.to_string(), place, why: why.to_owned() })
            }
            None => Ok(hit),
        },
        (Some(first), Some(second)) => {
            let places = [first, second].into_iter().chain(hits).map(|(_, place, _)| place).collect();
            Err(SourceError::Several { target: target.to_string(), places })
        }
    }
}

/// The kustomization that a file is a part of: one that names it, or one that stands beside it.
fn user<'a>(layered: &'a BTreeMap<String, String>, path: &str) -> Option<&'a String> {
    layered.get(path).or_else(|| {
        let beside = folder(path);
        layered.values().find(|user| folder(user) == beside)
    })
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

pub(in crate::changes) enum Match {
    Yes,
    /// Says what is different.
    Near(String),
    No,
}

/// Whether a document says the object; `default` is the namespace of documents that name none.
pub(in crate::changes) fn matches(document: &Value, target: &Target, default: Option<&str>) -> Match {
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

/// What of a document, though it is the one, cannot be edited in place.
pub(in crate::changes) fn sealed(document: &Value) -> Option<&'static str> {
    document.get("sops").is_some().then_some("is encrypted with SOPS: change it with sops by hand")
}

fn mentions_kind(text: &str, kind: &str) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("kind:"))
        .any(|found| found.trim().trim_matches(['"', '\'']).eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::{Files, Ground, Hit, Kustomizations, find};
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
        let files: Files = files.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect();
        let (kind, group) =
            wanted.0.split_once('.').map_or((wanted.0, None), |(kind, group)| (kind, Some(group)));
        let target = Target {
            kind: kind.into(),
            group: group.map(Into::into),
            namespace: wanted.1.map(Into::into),
            name: wanted.2.into(),
        };
        let kustomizations = Kustomizations::read(&files);
        let ground = Ground {
            files: &files,
            kustomizations: &kustomizations,
            prefix: "",
            deep: true,
            namespace: default,
        };
        find(&ground, &target).map_err(|error| error.to_string())
    }

    #[test]
    fn one_document_among_many() {
        let many =
            format!("# top\n---\n{}---\n{}", doc("Service", "shop", "web"), doc("Deployment", "shop", "web"));
        let files = [("a.yaml", doc("Deployment", "other", "web")), ("b/c.yml", many)];
        for kind in ["Deployment", "deployment", "Deployment.apps"] {
            assert_eq!(
                search(&files, (kind, Some("shop"), "web"), None),
                Ok(Hit { file: "b/c.yml".into(), document: 1 })
            );
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
        assert!(search(&helm, wanted, None).unwrap_err().contains("changes.charts"));
        let sops = [("s.yaml", format!("{}sops: {{mac: x}}\n", web()))];
        assert!(search(&sops, wanted, None).unwrap_err().contains("SOPS"));
        let list = [(
            "l.yaml",
            "kind: List\nitems:\n- kind: Deployment\n  metadata: {name: web, namespace: shop}\n".to_owned(),
        )];
        assert!(search(&list, wanted, None).unwrap_err().contains("inside a List"));
    }
}
