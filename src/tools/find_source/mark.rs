//! What an object itself says of who applied it. Pure.

use serde_json::Value;

use crate::tools::owners::group_of;

/// Who says on the object that it is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applier {
    /// An `Application` of Argo CD.
    ArgoCd,
    /// A `Kustomization` of Flux.
    FluxKustomization,
    /// A `HelmRelease` of Flux.
    FluxHelmRelease,
    /// A Helm release.
    Helm,
}

/// One mark on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) applier: Applier,
    /// Unknown: any namespace.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// `label a=b`, `annotation a=b`.
    pub(crate) evidence: String,
    /// Others use the same label: the applier itself must name the object for it to count.
    pub(crate) needs_proof: bool,
}

const TRACKING: &str = "argocd.argoproj.io/tracking-id";
const ARGO_INSTANCE: &str = "argocd.argoproj.io/instance";
const INSTANCE: &str = "app.kubernetes.io/instance";
const RELEASE: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// The marks of one object, the surest first. Flux and Argo CD may drive Helm: they stand before it.
pub(crate) fn marks(object: &Value) -> Vec<Mark> {
    let metadata = &object["metadata"];
    let label = |key: &str| metadata["labels"][key].as_str();
    let annotation = |key: &str| metadata["annotations"][key].as_str();
    let mut marks = Vec::new();
    if let Some(id) = annotation(TRACKING) {
        marks.extend(tracked(id, object));
    }
    for (applier, domain) in [
        (Applier::FluxHelmRelease, "helm.toolkit.fluxcd.io"),
        (Applier::FluxKustomization, "kustomize.toolkit.fluxcd.io"),
    ] {
        let (name, namespace) = (format!("{domain}/name"), format!("{domain}/namespace"));
        if let (Some(by), Some(of)) = (label(&name), label(&namespace)) {
            marks.push(Mark {
                applier,
                namespace: Some(of.to_owned()),
                name: by.to_owned(),
                evidence: format!("labels {name}={by}, {namespace}={of}"),
                needs_proof: false,
            });
        }
    }
    for (key, needs_proof) in [(ARGO_INSTANCE, false), (INSTANCE, true)] {
        if let Some(name) = label(key).filter(|_| !marks.iter().any(|mark| mark.applier == Applier::ArgoCd)) {
            let (namespace, name) = (None, name.to_owned());
            let evidence = format!("label {key}={name}");
            marks.push(Mark { applier: Applier::ArgoCd, namespace, name, evidence, needs_proof });
        }
    }
    if let Some(name) = annotation(RELEASE) {
        marks.push(Mark {
            applier: Applier::Helm,
            namespace: annotation(RELEASE_NAMESPACE).map(str::to_owned),
            name: name.to_owned(),
            evidence: format!("annotation {RELEASE}={name}"),
            needs_proof: false,
        });
    }
    marks
}

/// `[NAMESPACE_]APPLICATION:GROUP/KIND:NAMESPACE/NAME`. Of another object it is a copy and says nothing.
fn tracked(id: &str, object: &Value) -> Option<Mark> {
    let mut parts = id.splitn(3, ':');
    let (application, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    let (group, kind) = kind.split_once('/')?;
    let (_, name) = name.split_once('/')?;
    let own = kind == object["kind"].as_str()?
        && group == group_of(object["apiVersion"].as_str()?)
        && name == object["metadata"]["name"].as_str()?;
    let (namespace, application) = match application.split_once('_') {
        Some((namespace, application)) => (Some(namespace.to_owned()), application),
        None => (None, application),
    };
    own.then(|| Mark {
        applier: Applier::ArgoCd,
        namespace,
        name: application.to_owned(),
        evidence: format!("annotation {TRACKING}={id}"),
        needs_proof: false,
    })
}

/// Who wrote fields of an object that are not its status: managers of the API server, the last one first.
pub(crate) fn writers(object: &Value) -> Vec<Writer> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut writers: Vec<Writer> = entries
        .iter()
        .filter(|entry| entry["subresource"].as_str().unwrap_or_default().is_empty())
        .filter_map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            Some(Writer {
                manager: entry["manager"].as_str()?.to_owned(),
                is_apply: text("operation") == "Apply",
                at: text("time").parse().ok(),
            })
        })
        .collect();
    writers.sort_by_key(|writer| std::cmp::Reverse(writer.at));
    writers
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    /// By server-side apply.
    pub(crate) is_apply: bool,
    pub(crate) at: Option<jiff::Timestamp>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Applier, Mark, marks, writers};

    fn deployment(labels: Value, annotations: Value) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "cart", "namespace": "shop", "labels": labels, "annotations": annotations } })
    }

    fn told(labels: Value, annotations: Value) -> Vec<(Applier, Option<String>, String, bool)> {
        let of = |Mark { applier, namespace, name, evidence: _, needs_proof }: Mark| {
            (applier, namespace, name, needs_proof)
        };
        marks(&deployment(labels, annotations)).into_iter().map(of).collect()
    }

    #[test]
    fn marks_of_each_applier_are_read() {
        let id = |id: &str| json!({ "argocd.argoproj.io/tracking-id": id });
        assert_eq!(
            told(json!({}), id("store:apps/Deployment:shop/cart")),
            [(Applier::ArgoCd, None, "store".into(), false)]
        );
        assert_eq!(
            told(json!({}), id("team_store:apps/Deployment:shop/cart")),
            [(Applier::ArgoCd, Some("team".into()), "store".into(), false)]
        );
        let flux = json!({ "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system" });
        assert_eq!(
            told(flux, json!({})),
            [(Applier::FluxKustomization, Some("flux-system".into()), "apps".into(), false)]
        );
        let helm = json!({ "meta.helm.sh/release-name": "cart", "meta.helm.sh/release-namespace": "shop" });
        assert_eq!(told(json!({}), helm), [(Applier::Helm, Some("shop".into()), "cart".into(), false)]);
    }

    #[test]
    fn copied_marks_and_shared_labels_prove_nothing() {
        let copied = json!({ "argocd.argoproj.io/tracking-id": "store:apps/Deployment:shop/basket" });
        assert!(told(json!({}), copied).is_empty());
        assert_eq!(
            told(json!({ "app.kubernetes.io/instance": "store" }), json!({})),
            [(Applier::ArgoCd, None, "store".into(), true)]
        );
        assert!(told(json!({ "kustomize.toolkit.fluxcd.io/name": "apps" }), json!({})).is_empty());
    }

    #[test]
    fn writers_of_the_status_do_not_count() {
        let object = json!({ "metadata": { "managedFields": [
            { "manager": "kubectl-edit", "operation": "Update", "time": "2026-01-02T00:00:00Z" },
            { "manager": "helm", "operation": "Apply", "time": "2026-01-03T00:00:00Z" },
            { "manager": "kube-controller-manager", "operation": "Update", "subresource": "status",
              "time": "2026-01-04T00:00:00Z" }] } });
        let names: Vec<String> = writers(&object).into_iter().map(|writer| writer.manager).collect();
        assert_eq!(names, ["helm", "kubectl-edit"]);
        assert!(writers(&object)[0].is_apply);
    }
}
