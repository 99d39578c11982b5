//! What an object's appliers say, as a place in one of the configured repositories.

use super::{
    address::Address,
    argo, flux,
    way::{Chart, Standing, Way},
};
use crate::{
    changes::{config::Repository, identity::Target},
    tools::{Applied, AppliedFrom, Trace},
};

/// Where an object is maintained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) struct Place {
    pub(in crate::changes) repository: Repository,
    /// The ways by which it may come from there: the one that yields the object is taken.
    pub(in crate::changes) ways: Vec<Way>,
    /// By what this is known, one sentence each; empty when the repository is only searched.
    pub(in crate::changes) evidence: Vec<String>,
}

impl Place {
    /// A repository of which nobody says that the object is in it.
    pub(in crate::changes) fn search(repository: &Repository) -> Self {
        Self { repository: repository.clone(), ways: vec![Way::Search], evidence: Vec::new() }
    }
}

/// Why there is no place to change the object at; a sentence without its end that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::changes) enum NoPlace {
    /// Another object has to be named.
    #[error("{0}")]
    AskOtherwise(String),
    /// Known, and not to be reached from here: a person has to map it.
    #[error("{0}")]
    Unreachable(String),
}

/// The places where the object may be maintained: one where its appliers say so, every configured repository where
/// nobody does.
///
/// # Errors
/// When the object is made by another one, or comes from where no configured repository is.
pub(in crate::changes) fn place(trace: &Trace, repositories: &[&Repository]) -> Result<Vec<Place>, NoPlace> {
    if let Some(owner) = &trace.owner {
        let (object, owner) = (Trace::title(&trace.object), Trace::title(owner));
        return Err(NoPlace::AskOtherwise(format!(
            "{object} is made by {owner}, which would make it again as it is now: propose the change of {owner}"
        )));
    }
    let Some((applied, above)) = trace.origins.split_first() else {
        return Ok(repositories.iter().map(|repository| Place::search(repository)).collect());
    };
    let ways = ways(applied, above, repositories)?;
    let evidence = |way: &str| format!("{} applies it from {way} ({})", applied.by, applied.evidence);
    match ways {
        Ways::In(repository, ways) => Ok(vec![Place {
            evidence: vec![evidence(&format!("repository {}", repository.name))],
            repository: repository.clone(),
            ways,
        }]),
        Ways::Anywhere(ways) => Ok(repositories
            .iter()
            .map(|repository| Place {
                repository: (*repository).clone(),
                ways: ways.clone(),
                evidence: vec![format!("{} ({})", applied.by, applied.evidence)],
            })
            .collect()),
    }
}

pub(super) enum Ways<'r> {
    In(&'r Repository, Vec<Way>),
    /// The applier does not say which repository.
    Anywhere(Vec<Way>),
}

/// The ways of what one applier applies; `above` is what applies that applier.
pub(super) fn ways<'r>(
    applied: &Applied,
    above: &[Applied],
    repositories: &[&'r Repository],
) -> Result<Ways<'r>, NoPlace> {
    let Applied { tool, by, applier, sources, .. } = applied;
    let Some(applier) = applier else {
        if tool == "Helm" {
            return Ok(release(by, sources));
        }
        return Err(NoPlace::Unreachable(format!(
            "it is applied by {by}, which cannot be read, so its repository is not known"
        )));
    };
    match applier["kind"].as_str().unwrap_or_default() {
        "Kustomization" => flux::folder(applied, applier, repositories),
        "HelmRelease" => flux::chart(applied, applier, above, repositories),
        _ => argo::ways(applied, applier, above, repositories),
    }
}

/// Helm keeps the chart's name and not where it came from.
fn release<'r>(by: &str, sources: &[AppliedFrom]) -> Ways<'r> {
    let chart = sources.iter().map(|source| source.chart.as_str()).find(|chart| !chart.is_empty());
    let named = by.rsplit(' ').next().and_then(|title| title.split_once('/'));
    let (Some(chart), Some((namespace, release))) = (chart, named) else {
        return Ways::Anywhere(vec![Way::Search]);
    };
    let chart = Way::Chart(Chart {
        at: Standing::Named(chart.to_owned()),
        release: release.to_owned(),
        namespace: namespace.to_owned(),
        values: Vec::new(),
        by: by.to_owned(),
    });
    Ways::Anywhere(vec![chart])
}

/// The configured repository that an address means.
///
/// # Errors
/// When none is: whatever the cluster names, nothing is sent there.
pub(super) fn configured<'r>(
    by: &str,
    address: &str,
    repositories: &[&'r Repository],
) -> Result<&'r Repository, NoPlace> {
    if address.is_empty() {
        return Err(NoPlace::Unreachable(format!("{by} does not say which repository it is applied from")));
    }
    let wanted = Address::of(address);
    repositories.iter().find(|repository| Address::of(&repository.url) == wanted).copied().ok_or_else(|| {
        let known: Vec<_> = repositories.iter().map(|repository| repository.name.as_str()).collect();
        NoPlace::Unreachable(format!(
            "{by} applies it from {wanted}, which is none of the configured repositories ({}): add it under changes.repositories",
            known.join(", ")
        ))
    })
}

/// How the manifest of an applier comes to the cluster, from the same repository; searched for where nobody says.
pub(super) fn way_of_manifest(
    above: &[Applied],
    repository: &Repository,
    repositories: &[&Repository],
) -> Way {
    let known = above.split_first().and_then(|(applied, above)| ways(applied, above, repositories).ok());
    match known {
        Some(Ways::In(found, ways)) if found.name == repository.name => {
            ways.into_iter().next().unwrap_or(Way::Search)
        }
        _ => Way::Search,
    }
}

/// The object that an applier is.
pub(super) fn target_of(applier: &serde_json::Value) -> Target {
    let text =
        |pointer: &str| applier.pointer(pointer).and_then(serde_json::Value::as_str).map(str::to_owned);
    Target {
        kind: text("/kind").unwrap_or_default(),
        group: text("/apiVersion").and_then(|version| Some(version.split_once('/')?.0.to_owned())),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::{Value, json};

    use super::{NoPlace, Place, place};
    use crate::{
        changes::{
            config::{RepositoryConfig, check},
            source::{Form, Standing, Values, Way},
        },
        tools::{Applied, AppliedFrom, Trace},
    };

    fn placed(trace: &Trace) -> Result<Vec<Place>, NoPlace> {
        let yaml = "[{name: apps, url: 'https://git.example.com/team/apps.git'}, {name: charts, url: 'git@git.example.com:team/charts'}]";
        let config: Vec<RepositoryConfig> = serde_saphyr::from_str(yaml).unwrap();
        let repositories = check(config, Vec::new()).unwrap();
        place(trace, &repositories.iter().collect::<Vec<_>>())
    }

    fn applied(by: &str, applier: Value, repository: &str, path: &str) -> Applied {
        let source =
            AppliedFrom { repository: repository.into(), path: path.into(), ..AppliedFrom::default() };
        Applied { by: by.into(), applier: Some(applier), sources: vec![source], ..Applied::default() }
    }

    fn one(origins: Vec<Applied>) -> Place {
        let mut places = placed(&Trace { origins, ..Trace::default() }).unwrap();
        assert_eq!(places.len(), 1);
        places.remove(0)
    }

    #[test]
    fn without_an_applier_every_repository_is_searched() {
        let places = placed(&Trace::default()).unwrap();
        let names: Vec<_> = places.iter().map(|place| place.repository.name.as_str()).collect();
        assert_eq!(names, ["apps", "charts"]);
        assert!(places.iter().all(|place| place.ways == [Way::Search] && place.evidence.is_empty()));
    }

    #[test]
    fn a_kustomization_names_its_folder() {
        let applier = json!({"kind": "Kustomization", "spec": {"path": "./prod", "targetNamespace": "shop",
            "patches": [], "images": [{"name": "a"}]}});
        let found = one(vec![applied(
            "Kustomization f/apps",
            applier,
            "ssh://git@git.example.com/team/apps",
            "./prod",
        )]);
        assert_eq!(found.repository.name, "apps");
        let Way::Folder(folder) = &found.ways[0] else { panic!("{found:?}") };
        assert_eq!(
            (folder.path.as_str(), folder.deep, folder.namespace.as_deref()),
            ("prod/", true, Some("shop"))
        );
        assert_eq!(folder.overrides, ["spec.images"]);
    }

    #[test]
    fn a_release_names_its_chart_and_its_own_manifest() {
        let release = json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": {"name": "cart", "namespace": "flux"}, "spec": {"targetNamespace": "shop"}});
        let above = json!({"kind": "Kustomization", "spec": {}});
        let url = "https://git.example.com/team/charts";
        let found = one(vec![
            applied("HelmRelease flux/cart", release, url, "charts/cart"),
            applied("Kustomization f/apps", above, url, "./releases"),
        ]);
        let Way::Chart(chart) = &found.ways[0] else { panic!("{found:?}") };
        assert_eq!((chart.release.as_str(), chart.namespace.as_str()), ("shop-cart", "shop"));
        assert_eq!(chart.at, Standing::Folder("charts/cart/".into()));
        let [Values::Manifest(manifest)] = chart.values.as_slice() else { panic!("{chart:?}") };
        assert_eq!(
            (manifest.object.to_string().as_str(), manifest.form),
            ("HelmRelease flux/cart", Form::Mapping)
        );
        assert!(matches!(&*manifest.way, Way::Folder(folder) if folder.path == "releases/"), "{manifest:?}");
    }

    #[test]
    fn an_application_names_values_in_their_order() {
        let application = json!({"kind": "Application", "metadata": {"name": "shop", "namespace": "argocd"}, "spec": {
            "destination": {"namespace": "shop"}, "sources": [
                {"repoURL": "https://git.example.com/team/apps", "ref": "own"},
                {"repoURL": "https://git.example.com/team/apps", "path": "chart", "helm": {
                    "valueFiles": ["eu.yaml", "/env/prod.yaml", "$own/more.yaml"],
                    "parameters": [{"name": "a", "value": "1"}], "valuesObject": {"a": 2}}}]}});
        let found = one(vec![applied("Application argocd/shop", application, "", "")]);
        let [Way::Folder(_), Way::Chart(chart)] = found.ways.as_slice() else { panic!("{found:?}") };
        let said: Vec<_> = chart
            .values
            .iter()
            .map(|values| match values {
                Values::File(file) => file.clone(),
                Values::Manifest(manifest) => manifest.field.to_string(),
            })
            .collect();
        assert_eq!(
            said,
            [
                "chart/eu.yaml",
                "env/prod.yaml",
                "more.yaml",
                "spec.sources[1].helm.valuesObject",
                "spec.sources[1].helm.parameters"
            ]
        );
    }

    #[test]
    fn what_is_not_configured_is_only_named() {
        let applier = json!({"kind": "Kustomization", "spec": {}});
        let stranger =
            applied("Kustomization f/apps", applier, "https://bot:hunter2@evil.example/team/apps", "./x");
        let refused = placed(&Trace { origins: vec![stranger], ..Trace::default() }).unwrap_err().to_string();
        assert!(refused.contains("evil.example/team/apps") && refused.contains("apps, charts"), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
        let owned = Trace {
            object: json!({"kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"}}),
            owner: Some(json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}})),
            ..Trace::default()
        };
        let refused = placed(&owned).unwrap_err();
        assert!(
            matches!(&refused, NoPlace::AskOtherwise(why) if why.contains("propose the change of Deployment shop/web")),
            "{refused}"
        );
    }
}
