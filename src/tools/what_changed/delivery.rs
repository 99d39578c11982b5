//! What Helm, Argo CD and Flux say they brought. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::entry::{Entry, Meta, Sort, Span, Thing};

/// Kinds that may stand in another namespace than what they bring.
pub(super) const KINDS: [(&str, &str); 5] = [
    ("argoproj.io", "Application"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
    ("source.toolkit.fluxcd.io", "GitRepository"),
    ("source.toolkit.fluxcd.io", "OCIRepository"),
];

/// The entries of one such object; of `namespace` alone where one is asked for.
pub(super) fn entries(kind: &str, object: &Value, namespace: Option<&str>, span: Span) -> Vec<Entry> {
    if !namespace.is_none_or(|namespace| concerns(kind, object, namespace)) {
        return Vec::new();
    }
    let found = match kind {
        "Application" => argo(object),
        "Kustomization" => flux_kustomization(object),
        "HelmRelease" => flux_release(object),
        _ => artifact(object),
    };
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    let thing = Thing::new(kind, text("namespace"), text("name"));
    let entry = |(at, by, what): (Timestamp, &str, String)| Entry {
        at,
        thing: thing.clone(),
        sort: Sort::Delivered,
        by: by.to_owned(),
        what,
    };
    found.into_iter().filter(|(at, _, _)| span.has(*at)).map(entry).collect()
}

fn concerns(kind: &str, object: &Value, namespace: &str) -> bool {
    let is = |value: &Value| value.as_str() == Some(namespace);
    if is(&object["metadata"]["namespace"]) || is(&object["spec"]["targetNamespace"]) {
        return true;
    }
    match kind {
        "Application" => is(&object["spec"]["destination"]["namespace"]),
        // NAMESPACE_NAME_GROUP_KIND
        "Kustomization" => items(&object["status"]["inventory"]["entries"])
            .filter_map(|entry| entry["id"].as_str())
            .any(|id| id.split('_').next() == Some(namespace)),
        _ => false,
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Commits are known by their beginning.
fn revision(value: &Value) -> String {
    let text = value.as_str().unwrap_or("unknown");
    match text.rsplit_once([':', '/']) {
        Some((head, hash)) if is_hash(hash) => format!("{head}:{}", &hash[..12]),
        None if is_hash(text) => text[..12].to_owned(),
        _ => text.to_owned(),
    }
}

fn is_hash(text: &str) -> bool {
    text.len() >= 32 && text.chars().all(|c| c.is_ascii_hexdigit())
}

type Found = Vec<(Timestamp, &'static str, String)>;

fn argo(object: &Value) -> Found {
    let status = &object["status"];
    let mut found: Found = Vec::new();
    let mut before: Option<String> = None;
    for deployed in items(&status["history"]) {
        let now = revision(&deployed["revision"]);
        if let Some(at) = time(&deployed["deployedAt"]) {
            let from = before.as_ref().filter(|before| **before != now);
            let from = from.map_or_else(String::new, |before| format!(" (before: {before})"));
            found.push((at, "argocd", format!("synced revision {now}{from}")));
        }
        before = Some(now);
    }
    let operation = &status["operationState"];
    let phase = operation["phase"].as_str().unwrap_or_default();
    if let Some(at) = time(&operation["finishedAt"]).filter(|_| ["Failed", "Error"].contains(&phase)) {
        let message = operation["message"].as_str().unwrap_or_default();
        found.push((at, "argocd", format!("sync {}: {message}", phase.to_lowercase())));
    }
    found
}

fn flux_kustomization(object: &Value) -> Found {
    let status = &object["status"];
    let ready = items(&status["conditions"]).find(|condition| condition["type"] == "Ready");
    let Some((ready, at)) = ready.and_then(|ready| Some((ready, time(&ready["lastTransitionTime"])?))) else {
        return Vec::new();
    };
    let what = if ready["status"] == "True" {
        format!("applied revision {}", revision(&status["lastAppliedRevision"]))
    } else {
        let message = ready["message"].as_str().unwrap_or_default();
        format!("failed at revision {}: {message}", revision(&status["lastAttemptedRevision"]))
    };
    vec![(at, "flux", what)]
}

fn flux_release(object: &Value) -> Found {
    let one = |release: &Value| {
        let at = time(&release["lastDeployed"])?;
        let text = |key: &str| release[key].as_str().unwrap_or_default().to_owned();
        let number = release["version"].as_i64().unwrap_or_default();
        let (chart, version, status) = (text("chartName"), text("chartVersion"), text("status"));
        Some((at, "flux", format!("release revision {number} {status}: chart {chart} {version}")))
    };
    items(&object["status"]["history"]).filter_map(one).collect()
}

fn artifact(object: &Value) -> Found {
    let artifact = &object["status"]["artifact"];
    let found = time(&artifact["lastUpdateTime"])
        .map(|at| (at, "flux", format!("fetched revision {}", revision(&artifact["revision"]))));
    found.into_iter().collect()
}

/// A Secret of Helm's: its labels say all but what the chart is.
pub(super) fn helm(secret: &Meta, span: Span) -> Option<Entry> {
    let label = |key: &str| secret.labels.get(key).map(String::as_str);
    let at = secret.creation_timestamp.filter(|at| span.has(*at))?;
    let (name, version, status) = (label("name")?, label("version")?, label("status")?);
    let status = match status {
        "superseded" => "deployed, superseded since",
        status => status,
    };
    Some(Entry {
        at,
        thing: Thing::new("HelmRelease", &secret.namespace, name),
        sort: Sort::Delivered,
        by: "helm".to_owned(),
        what: format!("revision {version} {status}"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Meta, Span, entries, helm};

    fn span() -> Span {
        Span { from: "2026-01-01T10:00:00Z".parse().unwrap(), to: "2026-01-01T11:00:00Z".parse().unwrap() }
    }

    fn told(kind: &str, object: &Value, namespace: &str) -> Vec<String> {
        entries(kind, object, Some(namespace), span()).into_iter().map(|entry| entry.what).collect()
    }

    #[test]
    fn argo_tells_its_syncs_to_the_namespace_they_went_to() {
        let object = json!({ "metadata": { "namespace": "argocd", "name": "shop" },
            "spec": { "destination": { "namespace": "shop" } },
            "status": { "history": [
                { "revision": "0123456789abcdef0123456789abcdef01234567", "deployedAt": "2026-01-01T09:00:00Z" },
                { "revision": "fedcba9876543210fedcba9876543210fedcba98", "deployedAt": "2026-01-01T10:30:00Z" }],
              "operationState": { "phase": "Failed", "message": "one or more objects failed", "finishedAt": "2026-01-01T10:40:00Z" } } });
        assert_eq!(
            told("Application", &object, "shop"),
            [
                "synced revision fedcba987654 (before: 0123456789ab)",
                "sync failed: one or more objects failed"
            ]
        );
        assert!(told("Application", &object, "other").is_empty());
    }

    #[test]
    fn flux_tells_by_what_it_keeps() {
        let kustomization = json!({ "metadata": { "namespace": "flux-system", "name": "apps" },
            "status": { "lastAppliedRevision": "main@sha1:0123456789abcdef0123456789abcdef01234567",
                "inventory": { "entries": [{ "id": "shop_web_apps_Deployment", "v": "v1" }] },
                "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T10:20:00Z" }] } });
        assert_eq!(
            told("Kustomization", &kustomization, "shop"),
            ["applied revision main@sha1:0123456789ab"]
        );
        let release = json!({ "metadata": { "namespace": "shop", "name": "web" }, "status": { "history": [
            { "version": 4, "status": "deployed", "chartName": "web", "chartVersion": "1.2.0", "lastDeployed": "2026-01-01T10:10:00Z" }] } });
        assert_eq!(told("HelmRelease", &release, "shop"), ["release revision 4 deployed: chart web 1.2.0"]);
    }

    #[test]
    fn helm_tells_by_the_labels_of_its_secrets() {
        let secret: Meta =
            serde_json::from_value(json!({ "namespace": "shop", "name": "sh.helm.release.v1.web.v3",
            "creationTimestamp": "2026-01-01T10:10:00Z",
            "labels": { "owner": "helm", "name": "web", "version": "3", "status": "deployed" } }))
            .unwrap();
        let entry = helm(&secret, span()).unwrap();
        assert_eq!(
            (entry.thing.words(false), entry.what),
            ("HelmRelease web".to_owned(), "revision 3 deployed".to_owned())
        );
        assert!(helm(&Meta::default(), span()).is_none());
    }
}
