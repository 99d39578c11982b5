//! What bears on one object: itself, what it is made of and what it refers to. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::entry::Thing;
use crate::tools::list_events::{is_of, stem};

/// The object asked for, and the names it refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Related {
    of: Thing,
    /// Kind and name, in the same namespace.
    named: BTreeSet<(String, String)>,
    nodes: BTreeSet<String>,
    helm: Option<String>,
}

/// These bear on everything in a namespace.
const EVERYWHERE: [&str; 11] = [
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "Namespace",
    "Application",
    "Kustomization",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "GitRepository",
    "OCIRepository",
    "PriorityClass",
];

impl Related {
    pub(super) fn of(thing: Thing, object: &Value) -> Self {
        let mut named = BTreeSet::new();
        references(object, &mut named);
        if let Some((kind, name)) = object["spec"]["scaleTargetRef"]["kind"]
            .as_str()
            .zip(object["spec"]["scaleTargetRef"]["name"].as_str())
        {
            named.insert((kind.to_owned(), name.to_owned()));
        }
        // A pod's workload, and what made it.
        for owner in object["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
            if let (Some(kind), Some(name)) = (owner["kind"].as_str(), owner["name"].as_str()) {
                named.insert((kind.to_owned(), name.to_owned()));
                if let Some((workload, _)) = name.rsplit_once('-').filter(|_| kind == "ReplicaSet") {
                    named.insert(("Deployment".to_owned(), workload.to_owned()));
                }
            }
        }
        let helm = object["metadata"]["annotations"]["meta.helm.sh/release-name"].as_str().map(str::to_owned);
        let nodes = object["spec"]["nodeName"].as_str().map(str::to_owned).into_iter().collect();
        Self { of: thing, named, nodes, helm }
    }

    /// A node that a pod of it runs on.
    pub(super) fn add_node(&mut self, workload: &Thing, node: &str) {
        if *workload == self.of && !node.is_empty() {
            self.nodes.insert(node.to_owned());
        }
    }

    /// An autoscaler that says what it scales.
    pub(super) fn add_autoscaler(&mut self, name: &str, kind: &str, target: &str) {
        if kind == self.of.kind && target == self.of.name {
            self.named.insert(("HorizontalPodAutoscaler".to_owned(), name.to_owned()));
        }
    }

    pub(super) fn has(&self, thing: &Thing) -> bool {
        let Self { of, named, nodes, helm } = self;
        if thing == of || EVERYWHERE.contains(&thing.kind.as_str()) {
            return true;
        }
        match thing.kind.as_str() {
            "Node" => nodes.contains(&thing.name),
            "HelmRelease" => {
                helm.as_ref() == Some(&thing.name)
                    || *thing == Thing { kind: "HelmRelease".into(), ..of.clone() }
            }
            _ => {
                named.contains(&(thing.kind.clone(), thing.name.clone()))
                    || (thing.namespace == of.namespace
                        && (is_of(&of.kind, &of.name, &thing.kind, &thing.name)
                            // Warnings stand under the name that pods share.
                            || (thing.kind == "Pod" && thing.name == stem(&of.kind, &of.name))))
            }
        }
    }
}

/// ConfigMaps, Secrets, claims and accounts that a pod's template names.
fn references(value: &Value, named: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, named)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                let kind = match key.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => "ConfigMap",
                    "secret" | "secretRef" | "secretKeyRef" => "Secret",
                    "persistentVolumeClaim" => "PersistentVolumeClaim",
                    "serviceAccountName" => "ServiceAccount",
                    _ => "",
                };
                let name =
                    ["name", "secretName", "claimName"].iter().find_map(|field| inner[*field].as_str());
                if let Some(name) = name.or(inner.as_str()).filter(|_| !kind.is_empty()) {
                    named.insert((kind.to_owned(), name.to_owned()));
                }
                references(inner, named);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Related, Thing};

    #[test]
    fn what_a_template_names_bears_on_its_workload() {
        let web = Thing::new("Deployment", "shop", "web");
        let object = json!({ "metadata": { "annotations": { "meta.helm.sh/release-name": "store" } },
            "spec": { "template": { "spec": { "serviceAccountName": "runner",
                "containers": [{ "envFrom": [{ "configMapRef": { "name": "settings" } }],
                    "env": [{ "valueFrom": { "secretKeyRef": { "name": "login", "key": "a" } } }] }],
                "volumes": [{ "secret": { "secretName": "tls" } }, { "persistentVolumeClaim": { "claimName": "data" } }] } } } });
        let mut related = Related::of(web.clone(), &object);
        related.add_node(&web, "n1");
        related.add_autoscaler("web-scaler", "Deployment", "web");
        for (kind, name, bears) in [
            ("Deployment", "web", true),
            ("ConfigMap", "settings", true),
            ("ConfigMap", "other", false),
            ("Secret", "login", true),
            ("Secret", "tls", true),
            ("PersistentVolumeClaim", "data", true),
            ("ServiceAccount", "runner", true),
            ("HorizontalPodAutoscaler", "web-scaler", true),
            ("Pod", "web", true),
            ("Pod", "web-6c8d9f7b5c-x2x4z", true),
            ("Pod", "db", false),
            ("HelmRelease", "store", true),
            ("HelmRelease", "other", false),
            ("ResourceQuota", "any", true),
        ] {
            assert_eq!(related.has(&Thing::new(kind, "shop", name)), bears, "{kind} {name}");
        }
        assert!(related.has(&Thing::new("Node", "", "n1")) && !related.has(&Thing::new("Node", "", "n2")));
    }
}
