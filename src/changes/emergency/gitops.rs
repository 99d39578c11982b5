//! What GitOps would do, does, or is kept from doing to the objects of a scope, by what its own objects say. Pure.

use serde_json::Value;

use crate::api::emergency_change::{EmergencyScope, EmergencyTarget, GitOpsStand};

const SKIP: &str = "argocd.argoproj.io/skip-reconcile";
const FLUX_OBJECT: &str = "kustomize.toolkit.fluxcd.io/reconcile";

/// The kinds that apply others from Git: group and kind.
pub const APPLIERS: [(&str, &str); 3] = [
    ("argoproj.io", "Application"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
];

fn at<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn named(value: &Value) -> String {
    format!("{}/{}", at(value, "/metadata/namespace"), at(value, "/metadata/name"))
}

/// Those of the appliers that apply something of the scope, and how each stands to changes by hand. `objects` are the
/// live objects that the scope or the record names, each with its kind.
pub(super) fn stands(appliers: &[Value], objects: &[Value], scope: &EmergencyScope) -> Vec<GitOpsStand> {
    let of_appliers = appliers.iter().filter(|applier| touches(applier, scope)).filter_map(stand);
    let of_objects =
        objects.iter().filter(|object| object["metadata"]["annotations"][FLUX_OBJECT] == "disabled");
    let of_objects = of_objects.map(|object| GitOpsStand {
        by: format!("Flux on {} {}", at(object, "/kind"), named(object)),
        reverts: false,
        paused: true,
        advice: format!("remove the annotation {FLUX_OBJECT} to lift the pause"),
    });
    let mut stands: Vec<GitOpsStand> = of_appliers.chain(of_objects).collect();
    stands.sort_by(|a, b| a.by.cmp(&b.by));
    stands.dedup_by(|a, b| a.by == b.by);
    stands.truncate(50);
    stands
}

fn stand(applier: &Value) -> Option<GitOpsStand> {
    let (spec, name) = (&applier["spec"], named(applier));
    let (namespace, short) = name.split_once('/').unwrap_or(("", &name));
    Some(match at(applier, "/kind") {
        "Application" => {
            let automated = &spec["syncPolicy"]["automated"];
            let skipped = applier["metadata"]["annotations"][SKIP] == "true";
            let switched_off = automated["enabled"] == false;
            let reverts = automated.is_object() && automated["selfHeal"] == true && !switched_off && !skipped;
            let advice = if skipped {
                format!("remove the annotation {SKIP} to lift the pause")
            } else if switched_off {
                "set spec.syncPolicy.automated.enabled to true to lift the pause".to_owned()
            } else if reverts {
                format!(
                    "pause it before you write: kubectl -n {namespace} patch application {short} --type=merge -p '{{\"spec\":{{\"syncPolicy\":{{\"automated\":{{\"enabled\":false}}}}}}}}'"
                )
            } else {
                "restore spec.syncPolicy.automated if it was taken away for this".to_owned()
            };
            GitOpsStand {
                by: format!("Argo CD Application {name}"),
                reverts,
                paused: skipped || switched_off,
                advice,
            }
        }
        kind @ ("Kustomization" | "HelmRelease") => {
            let suspended = spec["suspend"] == true;
            // A HelmRelease corrects drift only where it is told to.
            let corrects = kind == "Kustomization" || at(spec, "/driftDetection/mode") == "enabled";
            let reverts = corrects && !suspended;
            let resource = kind.to_lowercase();
            let advice = if suspended {
                "set spec.suspend to false to lift the pause".to_owned()
            } else if kind == "Kustomization" {
                format!(
                    "pause it for the object before you write: kubectl annotate KIND NAME {FLUX_OBJECT}=disabled"
                )
            } else {
                format!(
                    "pause it before you write: kubectl -n {namespace} patch {resource} {short} --type=merge -p '{{\"spec\":{{\"suspend\":true}}}}'"
                )
            };
            GitOpsStand { by: format!("Flux {kind} {name}"), reverts, paused: suspended, advice }
        }
        _ => return None,
    })
}

/// Whether an applier applies something that the scope names.
fn touches(applier: &Value, scope: &EmergencyScope) -> bool {
    let EmergencyScope { namespaces, kinds: _, objects } = scope;
    let in_namespace = |namespace: &str| namespaces.iter().any(|name| name == namespace);
    let is_object = |kind: &str, namespace: &str, name: &str| {
        objects.iter().any(|EmergencyTarget { kind: wanted, namespace: of, name: called }| {
            let (wanted, _) = super::kinds::kind_and_group(wanted);
            wanted.eq_ignore_ascii_case(kind)
                && of.as_deref().unwrap_or_default() == namespace
                && called == name
        })
    };
    let list =
        |path: &str| applier.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // Argo CD lists kind, namespace and name.
    let by_argo = list("/status/resources").iter().any(|one| {
        in_namespace(at(one, "/namespace"))
            || is_object(at(one, "/kind"), at(one, "/namespace"), at(one, "/name"))
    });
    // Flux lists `NAMESPACE_NAME_GROUP_KIND`.
    let by_flux = list("/status/inventory/entries").iter().any(|one| {
        let parts: Vec<&str> = at(one, "/id").splitn(4, '_').collect();
        match parts.as_slice() {
            [namespace, name, _, kind] => in_namespace(namespace) || is_object(kind, namespace, name),
            _ => false,
        }
    });
    // What it is to apply to, be nothing of it there yet.
    let aimed = ["/spec/destination/namespace", "/spec/targetNamespace"];
    let of_release = applier["kind"] == "HelmRelease" && at(applier, "/spec/targetNamespace").is_empty();
    by_argo
        || by_flux
        || aimed.iter().any(|path| in_namespace(at(applier, path)))
        || (of_release && in_namespace(at(applier, "/metadata/namespace")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::stands;
    use crate::{api::emergency_change::GitOpsStand, changes::emergency::scope::tests::scope};

    fn application(sync_policy: &Value, annotations: &Value) -> Value {
        json!({ "kind": "Application", "metadata": { "namespace": "argocd", "name": "shop", "annotations": annotations },
            "spec": { "syncPolicy": sync_policy },
            "status": { "resources": [{ "group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web" }] } })
    }

    fn one(applier: Value, scope_: &str) -> Option<GitOpsStand> {
        stands(&[applier], &[], &scope(scope_)).pop()
    }

    #[test]
    fn self_heal_is_foreseen_with_the_way_to_pause_it() {
        let healing = json!({ "automated": { "selfHeal": true } });
        let stand = one(application(&healing, &json!({})), "namespaces: [shop]").unwrap();
        assert!(stand.reverts && !stand.paused);
        assert_eq!(stand.by, "Argo CD Application argocd/shop");
        assert!(stand.advice.contains("kubectl -n argocd patch application shop"), "{}", stand.advice);
        let by_name = "objects: [{kind: Deployment.apps, namespace: shop, name: web}]";
        assert!(one(application(&healing, &json!({})), by_name).is_some());
        assert!(one(application(&healing, &json!({})), "namespaces: [other]").is_none());
    }

    #[test]
    fn every_way_of_pausing_is_seen() {
        for (policy, annotations) in [
            (json!({ "automated": { "selfHeal": true, "enabled": false } }), json!({})),
            (
                json!({ "automated": { "selfHeal": true } }),
                json!({ "argocd.argoproj.io/skip-reconcile": "true" }),
            ),
        ] {
            let stand = one(application(&policy, &annotations), "namespaces: [shop]").unwrap();
            assert!(!stand.reverts && stand.paused && stand.advice.contains("lift"), "{stand:?}");
        }
        let manual = one(application(&json!({}), &json!({})), "namespaces: [shop]").unwrap();
        assert!(!manual.reverts && !manual.paused);
    }

    #[test]
    fn flux_is_foreseen_by_its_inventory() {
        let kustomization = |suspend: bool| {
            json!({ "kind": "Kustomization", "metadata": { "namespace": "flux-system", "name": "apps" },
                "spec": { "suspend": suspend },
                "status": { "inventory": { "entries": [{ "id": "shop_web_apps_Deployment", "v": "v1" }] } } })
        };
        let stand =
            one(kustomization(false), "objects: [{kind: Deployment, namespace: shop, name: web}]").unwrap();
        assert!(stand.reverts && stand.advice.contains("reconcile=disabled"));
        assert!(one(kustomization(true), "namespaces: [shop]").unwrap().paused);
        let release =
            json!({ "kind": "HelmRelease", "metadata": { "namespace": "shop", "name": "web" }, "spec": {} });
        assert!(!one(release, "namespaces: [shop]").unwrap().reverts);
        let paused = json!({ "kind": "Deployment", "metadata": { "namespace": "shop", "name": "web",
            "annotations": { "kustomize.toolkit.fluxcd.io/reconcile": "disabled" } } });
        let stand = stands(&[], &[paused], &scope("namespaces: [shop]")).pop().unwrap();
        assert!(stand.paused && stand.by == "Flux on Deployment shop/web");
    }
}
