//! What an applier says of where it takes an object from, and how far it has come. Pure.

use serde_json::Value;

use crate::tools::owners::{group_of, title};

/// One place that something is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// URL of a Git, Helm or OCI repository; empty when it is not known.
    pub(crate) repository: String,
    /// In the repository.
    pub(crate) path: String,
    /// Of Helm.
    pub(crate) chart: String,
    /// Branch, tag, commit or chart version that is wanted.
    pub(crate) revision: String,
    /// What of it is in the cluster.
    pub(crate) applied: String,
}

/// Where something comes from, by what its applier says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `Argo CD`, `Flux`, `Helm`.
    pub(crate) tool: &'static str,
    /// `Application argocd/shop`.
    pub(crate) by: String,
    pub(crate) sources: Vec<Source>,
    /// How the cluster stands to the source: `Synced`, `OutOfSync, this object Synced`...
    pub(crate) sync: String,
    /// A change by hand would be undone.
    pub(crate) reverts: bool,
    /// What else must be known, one sentence each.
    pub(crate) notes: Vec<String>,
}

fn at<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the Application lists the object among its own, and how it stands.
pub(crate) fn listed<'a>(application: &'a Value, object: &Value) -> Option<&'a Value> {
    let resources = application.pointer("/status/resources")?.as_array()?;
    resources.iter().find(|known| {
        let namespace = at(known, "/namespace");
        at(known, "/kind") == at(object, "/kind")
            && at(known, "/group") == group_of(at(object, "/apiVersion"))
            && at(known, "/name") == at(object, "/metadata/name")
            && (namespace.is_empty() || namespace == at(object, "/metadata/namespace"))
    })
}

/// Of an Argo CD `Application`.
pub(crate) fn of_application(application: &Value, object: &Value) -> Origin {
    let spec = &application["spec"];
    let mut notes = Vec::new();
    let dry = &spec["sourceHydrator"]["drySource"];
    let wanted: Vec<&Value> = if dry.is_object() {
        let to = at(spec, "/sourceHydrator/syncSource/targetBranch");
        notes.push(format!(
            "what is applied is rendered to branch {to}: edit the source above, not that branch"
        ));
        vec![dry]
    } else {
        match spec["sources"].as_array() {
            Some(sources) => sources.iter().collect(),
            None => vec![&spec["source"]],
        }
    };
    let applied = |index: usize| match application.pointer("/status/sync/revisions") {
        Some(revisions) => revisions[index].as_str().unwrap_or_default(),
        None => at(application, "/status/sync/revision"),
    };
    let sources = wanted.iter().enumerate().map(|(index, source)| Source {
        repository: at(source, "/repoURL").to_owned(),
        path: at(source, "/path").to_owned(),
        chart: at(source, "/chart").to_owned(),
        revision: or(at(source, "/targetRevision"), "HEAD"),
        applied: applied(index).to_owned(),
    });
    let mut sync = vec![or(at(application, "/status/sync/status"), "Unknown")];
    if let Some(own) = listed(application, object) {
        sync.push(format!("this object {}", or(at(own, "/status"), "Unknown")));
    }
    let health = at(application, "/status/health/status");
    if !health.is_empty() {
        sync.push(format!("health {health}"));
    }
    let operation = &application["status"]["operationState"];
    if matches!(at(operation, "/phase"), "Failed" | "Error" | "Running") {
        sync.push(format!("last sync {}: {}", at(operation, "/phase"), at(operation, "/message")));
    }
    if let Some(set) = owner(application, "ApplicationSet") {
        notes.push(format!(
            "the Application is made by ApplicationSet {set}: edit its generator to change the Application"
        ));
    }
    let automated = &spec["syncPolicy"]["automated"];
    Origin {
        tool: "Argo CD",
        by: title_of("Application", application),
        sources: sources.collect(),
        sync: sync.join(", "),
        reverts: automated["selfHeal"] == true && automated["enabled"] != false,
        notes,
    }
}

/// Of a Flux `Kustomization`, with the source object it names.
pub(crate) fn of_kustomization(kustomization: &Value, source: Option<&Value>) -> Origin {
    let taken = Source {
        path: at(kustomization, "/spec/path").to_owned(),
        applied: at(kustomization, "/status/lastAppliedRevision").to_owned(),
        ..repository(source)
    };
    flux("Kustomization", kustomization, taken, source)
}

/// Of a Flux `HelmRelease`, with the source object of its chart.
pub(crate) fn of_flux_release(release: &Value, source: Option<&Value>) -> Origin {
    let chart = &release["spec"]["chart"]["spec"];
    let newest = release.pointer("/status/history/0").unwrap_or(&Value::Null);
    let from = repository(source);
    let is_git = source.is_some_and(|source| source["kind"] == "GitRepository");
    let name = or(at(chart, "/chart"), at(newest, "/chartName"));
    let taken = Source {
        path: if is_git { name.clone() } else { String::new() },
        chart: if is_git { String::new() } else { name },
        revision: if is_git { from.revision } else { or(at(chart, "/version"), &from.revision) },
        applied: or(at(newest, "/chartVersion"), at(release, "/status/lastAppliedRevision")),
        repository: from.repository,
    };
    flux("HelmRelease", release, taken, source)
}

fn flux(kind: &str, applier: &Value, taken: Source, source: Option<&Value>) -> Origin {
    let ready =
        applier["status"]["conditions"].as_array().into_iter().flatten().find(|one| one["type"] == "Ready");
    let mut sync = match ready {
        Some(ready) if ready["status"] == "True" => "applied".to_owned(),
        Some(ready) => format!("not applied: {} {}", at(ready, "/reason"), at(ready, "/message")),
        None => "Flux has not said how far it is".to_owned(),
    };
    let suspended = applier["spec"]["suspend"] == true;
    if suspended {
        sync.push_str(", suspended");
    }
    let mut notes = Vec::new();
    if source.is_none() {
        notes.push("the source it names could not be read: its repository is not known".to_owned());
    }
    Origin {
        tool: "Flux",
        by: title_of(kind, applier),
        sources: vec![taken],
        sync,
        reverts: kind == "Kustomization" && !suspended,
        notes,
    }
}

/// URL and wanted revision of a Flux source.
fn repository(source: Option<&Value>) -> Source {
    let Some(source) = source else { return Source::default() };
    let wanted = ["commit", "digest", "tag", "semver", "name", "branch"];
    let wanted = wanted.iter().map(|key| at(source, &format!("/spec/ref/{key}")));
    let url = or(at(source, "/spec/url"), at(source, "/spec/endpoint"));
    Source {
        repository: url,
        revision: wanted.into_iter().find(|revision| !revision.is_empty()).unwrap_or_default().to_owned(),
        ..Source::default()
    }
}

/// Which object a Flux applier takes its source from: kind, namespace, name.
pub(crate) fn source_of(applier: &Value) -> Option<(String, String, String)> {
    let spec = &applier["spec"];
    let places = [&spec["sourceRef"], &spec["chart"]["spec"]["sourceRef"], &spec["chartRef"]];
    let reference = places.into_iter().find(|place| place.is_object())?;
    let own = at(applier, "/metadata/namespace");
    Some((
        at(reference, "/kind").to_owned(),
        or(at(reference, "/namespace"), own),
        at(reference, "/name").to_owned(),
    ))
}

fn owner(object: &Value, kind: &str) -> Option<String> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["kind"] == kind)?;
    Some(at(owner, "/name").to_owned())
}

fn title_of(kind: &str, object: &Value) -> String {
    if object["kind"].is_string() {
        return title(object);
    }
    format!("{kind} {}/{}", at(object, "/metadata/namespace"), at(object, "/metadata/name"))
}

fn or(text: &str, otherwise: &str) -> String {
    if text.is_empty() { otherwise } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{Source, listed, of_application, of_flux_release, of_kustomization, source_of};

    #[test]
    fn an_application_says_repository_revision_and_how_this_object_stands() {
        let object = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "cart", "namespace": "shop" } });
        let application = json!({ "kind": "Application",
            "metadata": { "name": "store", "namespace": "argocd", "ownerReferences": [{ "kind": "ApplicationSet", "name": "all" }] },
            "spec": { "source": { "repoURL": "https://git.example/shop", "path": "overlays/prod" },
                "syncPolicy": { "automated": { "selfHeal": true } } },
            "status": { "sync": { "status": "OutOfSync", "revision": "3f2a" }, "health": { "status": "Degraded" },
                "operationState": { "phase": "Failed", "message": "one or more objects failed" },
                "resources": [{ "group": "apps", "kind": "Deployment", "namespace": "shop", "name": "cart", "status": "Synced" }] } });
        assert!(listed(&application, &object).is_some());
        let origin = of_application(&application, &object);
        assert_eq!(origin.by, "Application argocd/store");
        assert_eq!(
            origin.sync,
            "OutOfSync, this object Synced, health Degraded, last sync Failed: one or more objects failed"
        );
        assert!(origin.reverts);
        let source = Source {
            repository: "https://git.example/shop".into(),
            path: "overlays/prod".into(),
            revision: "HEAD".into(),
            applied: "3f2a".into(),
            ..Source::default()
        };
        assert_eq!(origin.sources, [source]);
        assert!(origin.notes[0].contains("ApplicationSet all"), "{:?}", origin.notes);
        let other = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "basket", "namespace": "shop" } });
        assert!(listed(&application, &other).is_none());
    }

    #[test]
    fn a_rendered_branch_is_not_the_source() {
        let application = json!({ "spec": { "sourceHydrator": {
            "drySource": { "repoURL": "https://git.example/shop", "path": "chart", "targetRevision": "main" },
            "syncSource": { "targetBranch": "env/prod" } } } });
        let origin = of_application(&application, &json!({}));
        assert_eq!((origin.sources[0].path.as_str(), origin.sync.as_str()), ("chart", "Unknown"));
        assert!(origin.notes[0].contains("branch env/prod"), "{:?}", origin.notes);
    }

    #[test]
    fn flux_says_its_path_and_its_source_the_url() {
        let kustomization = json!({ "kind": "Kustomization", "metadata": { "name": "apps", "namespace": "flux-system" },
            "spec": { "path": "./apps", "sourceRef": { "kind": "GitRepository", "name": "fleet" } },
            "status": { "lastAppliedRevision": "main@sha1:abc",
                "conditions": [{ "type": "Ready", "status": "False", "reason": "BuildFailed", "message": "no such file" }] } });
        assert_eq!(
            source_of(&kustomization),
            Some(("GitRepository".into(), "flux-system".into(), "fleet".into()))
        );
        let source = json!({ "kind": "GitRepository", "spec": { "url": "https://git.example/fleet", "ref": { "branch": "main" } } });
        let origin = of_kustomization(&kustomization, Some(&source));
        assert_eq!(origin.sync, "not applied: BuildFailed no such file");
        let Source { repository, path, revision, applied, chart: _ } = &origin.sources[0];
        assert_eq!((repository.as_str(), path.as_str()), ("https://git.example/fleet", "./apps"));
        assert_eq!((revision.as_str(), applied.as_str()), ("main", "main@sha1:abc"));
        assert!(of_kustomization(&kustomization, None).notes[0].contains("not known"));
    }

    #[test]
    fn a_flux_release_says_its_chart() {
        let release = json!({ "kind": "HelmRelease", "metadata": { "name": "cart", "namespace": "shop" },
            "spec": { "chart": { "spec": { "chart": "cart", "version": "1.x", "sourceRef": { "kind": "HelmRepository", "name": "own" } } } },
            "status": { "history": [{ "chartName": "cart", "chartVersion": "1.4.2" }],
                "conditions": [{ "type": "Ready", "status": "True" }] } });
        let source = json!({ "kind": "HelmRepository", "spec": { "url": "https://charts.example" } });
        let origin = of_flux_release(&release, Some(&source));
        let Source { repository, chart, revision, applied, path: _ } = &origin.sources[0];
        assert_eq!((repository.as_str(), chart.as_str()), ("https://charts.example", "cart"));
        assert_eq!((revision.as_str(), applied.as_str(), origin.sync.as_str()), ("1.x", "1.4.2", "applied"));
    }
}
