//! What is kept of one object to see what it hangs together with. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{answer::Rank, tools::owners::group_of};

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Thing {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// Uids of its owners, the one that controls it first.
    pub(super) owners: Vec<String>,
    /// A few words such as `ready 1/2`; empty when there is nothing to say.
    pub(super) state: String,
    pub(super) rank: Option<Rank>,
    pub(super) why: String,
    /// Labels of the pod, or of the pods that the workload makes.
    pub(super) pod_labels: Option<BTreeMap<String, String>>,
    /// What its pods refer to.
    pub(super) uses: Vec<Use>,
    /// Which pods it is about.
    pub(super) selects: Option<Selector>,
    /// What it names directly.
    pub(super) names: Vec<(Relation, String, String)>,
}

/// How one object stands to the one above it in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Relation {
    Top,
    Owns,
    LeadsTo,
    Selects,
    Scales,
    BoundTo,
    UsedBy,
    SelectedBy,
    ExposedBy,
    ScaledBy,
    Uses,
    GuardedBy,
    LimitedBy,
}

impl Relation {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Owns => "owns ",
            Self::LeadsTo => "leads to ",
            Self::Selects => "selects ",
            Self::Scales => "scales ",
            Self::BoundTo => "bound to ",
            Self::UsedBy => "used by ",
            Self::SelectedBy => "selected by ",
            Self::ExposedBy => "exposed by ",
            Self::ScaledBy => "scaled by ",
            Self::Uses => "uses ",
            Self::GuardedBy => "guarded by ",
            Self::LimitedBy => "limited by ",
        }
    }
}

/// A reference from a pod to what it cannot run without, or can.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) how: &'static str,
    pub(super) optional: bool,
}

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    equal: BTreeMap<String, String>,
    /// Key, operator, values.
    expressions: Vec<(String, String, Vec<String>)>,
}

impl Selector {
    fn labels(labels: &Value) -> Self {
        Self { equal: strings(labels), expressions: Vec::new() }
    }

    fn of(selector: &Value) -> Self {
        let expressions = selector["matchExpressions"].as_array().into_iter().flatten().map(|expression| {
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(|value| Some(value.as_str()?.to_owned())).collect();
            (text(expression, "key"), text(expression, "operator"), values)
        });
        Self { equal: strings(&selector["matchLabels"]), expressions: expressions.collect() }
    }

    pub(super) fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        self.equal.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|(key, operator, values)| {
                let found = labels.get(key);
                match operator.as_str() {
                    "In" => found.is_some_and(|found| values.contains(found)),
                    "NotIn" => !found.is_some_and(|found| values.contains(found)),
                    "Exists" => found.is_some(),
                    "DoesNotExist" => found.is_none(),
                    _ => false,
                }
            })
    }
}

fn strings(labels: &Value) -> BTreeMap<String, String> {
    let labels = labels.as_object().into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

impl Thing {
    /// Without its health, which its kind's view tells.
    pub(super) fn of(group: &str, kind: &str, object: &Value) -> Self {
        let meta = &object["metadata"];
        let mut owners: Vec<&Value> = meta["ownerReferences"].as_array().into_iter().flatten().collect();
        owners.sort_by_key(|owner| owner["controller"] != true);
        let spec = &object["spec"];
        let template = match (group, kind) {
            ("", "Pod") => Some(object),
            ("batch", "CronJob") => spec["jobTemplate"]["spec"].get("template"),
            _ => spec.get("template"),
        };
        let pod = template.filter(|template| template["spec"]["containers"].is_array());
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: text(meta, "name"),
            uid: text(meta, "uid"),
            owners: owners.iter().filter_map(|owner| Some(owner["uid"].as_str()?.to_owned())).collect(),
            pod_labels: pod.map(|pod| strings(&pod["metadata"]["labels"])),
            // Volumes of a StatefulSet's own templates are claims that its pods name.
            uses: pod.map(|pod| uses(&pod["spec"])).unwrap_or_default(),
            selects: selects(group, kind, spec),
            names: names(group, kind, spec),
            ..Self::default()
        }
    }
}

fn selects(group: &str, kind: &str, spec: &Value) -> Option<Selector> {
    match (group, kind) {
        ("", "Service") => spec["selector"]
            .as_object()
            .filter(|labels| !labels.is_empty())
            .map(|_| Selector::labels(&spec["selector"])),
        ("policy", "PodDisruptionBudget") => Some(Selector::of(&spec["selector"])),
        ("networking.k8s.io", "NetworkPolicy") => Some(Selector::of(&spec["podSelector"])),
        _ => None,
    }
}

fn names(group: &str, kind: &str, spec: &Value) -> Vec<(Relation, String, String)> {
    let services = |names: Vec<&Value>| {
        let mut named: Vec<_> = names
            .into_iter()
            .filter_map(|name| Some((Relation::LeadsTo, "Service".to_owned(), name.as_str()?.to_owned())))
            .collect();
        named.sort();
        named.dedup();
        named
    };
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    match (group, kind) {
        ("networking.k8s.io", "Ingress") => {
            let rules = list(&spec["rules"]);
            let paths: Vec<Value> = rules.iter().flat_map(|rule| list(&rule["http"]["paths"])).collect();
            let mut backends: Vec<&Value> =
                paths.iter().map(|path| &path["backend"]["service"]["name"]).collect();
            backends.push(&spec["defaultBackend"]["service"]["name"]);
            services(backends)
        }
        ("route.openshift.io", "Route") => {
            let others = list(&spec["alternateBackends"]);
            let mut backends: Vec<&Value> = others.iter().map(|backend| &backend["name"]).collect();
            backends.push(&spec["to"]["name"]);
            services(backends)
        }
        ("gateway.networking.k8s.io", kind) if kind.ends_with("Route") => {
            let rules = list(&spec["rules"]);
            let backends: Vec<Value> = rules.iter().flat_map(|rule| list(&rule["backendRefs"])).collect();
            let is_service = |backend: &&Value| backend["kind"].as_str().is_none_or(|kind| kind == "Service");
            services(backends.iter().filter(is_service).map(|backend| &backend["name"]).collect())
        }
        ("autoscaling", "HorizontalPodAutoscaler") => {
            let target = &spec["scaleTargetRef"];
            vec![(Relation::Scales, text(target, "kind"), text(target, "name"))]
        }
        ("", "PersistentVolumeClaim") => {
            let volume = spec["volumeName"].as_str().filter(|name| !name.is_empty());
            volume
                .map(|name| (Relation::BoundTo, "PersistentVolume".to_owned(), name.to_owned()))
                .into_iter()
                .collect()
        }
        _ => Vec::new(),
    }
}

/// What a pod refers to, each once.
fn uses(spec: &Value) -> Vec<Use> {
    let mut found = Vec::new();
    let mut add = |kind: &'static str, name: &Value, how: &'static str, optional: &Value| {
        if let Some(name) = name.as_str().filter(|name| !name.is_empty() && *name != "kube-root-ca.crt") {
            found.push(Use { kind, name: name.to_owned(), how, optional: *optional == true });
        }
    };
    let none = Value::Null;
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        add("ConfigMap", &volume["configMap"]["name"], "mounted", &volume["configMap"]["optional"]);
        add("Secret", &volume["secret"]["secretName"], "mounted", &volume["secret"]["optional"]);
        add("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"], "mounted", &none);
        for part in volume["projected"]["sources"].as_array().into_iter().flatten() {
            add("ConfigMap", &part["configMap"]["name"], "mounted", &part["configMap"]["optional"]);
            add("Secret", &part["secret"]["name"], "mounted", &part["secret"]["optional"]);
        }
    }
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array().into_iter().flatten() {
            for from in container["envFrom"].as_array().into_iter().flatten() {
                add(
                    "ConfigMap",
                    &from["configMapRef"]["name"],
                    "environment",
                    &from["configMapRef"]["optional"],
                );
                add("Secret", &from["secretRef"]["name"], "environment", &from["secretRef"]["optional"]);
            }
            for variable in container["env"].as_array().into_iter().flatten() {
                let from = &variable["valueFrom"];
                add(
                    "ConfigMap",
                    &from["configMapKeyRef"]["name"],
                    "environment",
                    &from["configMapKeyRef"]["optional"],
                );
                add(
                    "Secret",
                    &from["secretKeyRef"]["name"],
                    "environment",
                    &from["secretKeyRef"]["optional"],
                );
            }
        }
    }
    for secret in spec["imagePullSecrets"].as_array().into_iter().flatten() {
        add("Secret", &secret["name"], "image pulls", &none);
    }
    add("ServiceAccount", &spec["serviceAccountName"], "identity", &none);
    found.sort();
    found.dedup();
    found
}

/// Group and kind of an object as it stands in itself.
pub(super) fn kind_of(object: &Value) -> (&str, &str) {
    (group_of(object["apiVersion"].as_str().unwrap_or_default()), object["kind"].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Relation, Selector, Thing, uses};

    #[test]
    fn a_pod_names_all_that_it_uses_once() {
        let spec = json!({ "serviceAccountName": "bot", "imagePullSecrets": [{ "name": "pull" }],
            "volumes": [{ "configMap": { "name": "conf", "optional": true } }, { "secret": { "secretName": "tls" } },
                { "persistentVolumeClaim": { "claimName": "data" } },
                { "projected": { "sources": [{ "configMap": { "name": "kube-root-ca.crt" } }, { "secret": { "name": "extra" } }] } }],
            "initContainers": [{ "envFrom": [{ "configMapRef": { "name": "env" } }] }],
            "containers": [{ "env": [{ "valueFrom": { "secretKeyRef": { "name": "db" } } }, { "valueFrom": { "secretKeyRef": { "name": "db" } } }] }] });
        let told: Vec<String> =
            uses(&spec).iter().map(|one| format!("{} {} {}", one.kind, one.name, one.how)).collect();
        assert_eq!(
            told,
            [
                "ConfigMap conf mounted",
                "ConfigMap env environment",
                "PersistentVolumeClaim data mounted",
                "Secret db environment",
                "Secret extra mounted",
                "Secret pull image pulls",
                "Secret tls mounted",
                "ServiceAccount bot identity",
            ]
        );
        assert!(uses(&spec)[0].optional);
    }

    #[test]
    fn selectors_fit_labels_as_kubernetes_says() {
        let labels = [("app".to_owned(), "web".to_owned())].into();
        let fits = |selector: Value| Selector::of(&selector).fits(&labels);
        let expression = |operator: &str, values: Value| json!({ "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] });
        assert!(fits(json!({})) && fits(json!({ "matchLabels": { "app": "web" } })));
        assert!(fits(expression("In", json!(["web", "api"]))) && !fits(expression("NotIn", json!(["web"]))));
        assert!(fits(expression("Exists", json!([]))) && !fits(expression("DoesNotExist", json!([]))));
    }

    #[test]
    fn what_exposes_names_its_services() {
        let backends = |group: &str, kind: &str, spec: Value| -> Vec<String> {
            let thing = Thing::of(group, kind, &json!({ "spec": spec }));
            thing
                .names
                .into_iter()
                .filter(|(relation, ..)| *relation == Relation::LeadsTo)
                .map(|(_, _, name)| name)
                .collect()
        };
        let path = |name: &str| json!({ "backend": { "service": { "name": name } } });
        let ingress = json!({ "defaultBackend": { "service": { "name": "z" } }, "rules": [{ "http": { "paths": [path("b"), path("a"), path("b")] } }] });
        assert_eq!(backends("networking.k8s.io", "Ingress", ingress), ["a", "b", "z"]);
        let route =
            json!({ "to": { "kind": "Service", "name": "a" }, "alternateBackends": [{ "name": "b" }] });
        assert_eq!(backends("route.openshift.io", "Route", route), ["a", "b"]);
        let http =
            json!({ "rules": [{ "backendRefs": [{ "name": "a" }, { "kind": "Bucket", "name": "x" }] }] });
        assert_eq!(backends("gateway.networking.k8s.io", "HTTPRoute", http), ["a"]);
    }
}
