//! `fieldsV1` as paths. Pure.

use serde_json::Value;

/// The fields that a manager owns, leaves only, without what controllers keep for themselves.
pub(super) fn owned(fields: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    walk(fields, "", &mut paths);
    paths.retain(|path| !is_bookkeeping(path));
    paths
}

fn walk(fields: &Value, path: &str, paths: &mut Vec<String>) {
    let children = fields.as_object().into_iter().flatten().filter(|(key, _)| *key != ".");
    let mut leaf = true;
    for (key, inner) in children {
        leaf = false;
        let path = match key.split_once(':') {
            Some(("f", name)) if name.contains(['.', '/']) => format!("{path}[{name:?}]"),
            Some(("f", name)) if path.is_empty() => name.to_owned(),
            Some(("f", name)) => format!("{path}.{name}"),
            Some(("k", item)) => format!("{path}[{}]", item_key(item)),
            // A member of a set.
            Some(("v", value)) => format!("{path}[{value}]"),
            _ => continue,
        };
        walk(inner, &path, paths);
    }
    if leaf && !path.is_empty() {
        paths.push(path.to_owned());
    }
}

/// `{"name":"web"}` as `name=web`.
fn item_key(item: &str) -> String {
    let Ok(Value::Object(keys)) = serde_json::from_str::<Value>(item) else { return item.to_owned() };
    let pairs: Vec<String> = keys
        .iter()
        .map(|(key, value)| {
            format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    pairs.join(",")
}

const BOOKKEEPING: [&str; 17] = [
    "status",
    "metadata.finalizers",
    "metadata.ownerReferences",
    "metadata.generateName",
    "metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]",
    "metadata.annotations[\"deployment.kubernetes.io/",
    "metadata.annotations[\"pv.kubernetes.io/",
    "metadata.annotations[\"volume.",
    "metadata.annotations[\"control-plane.alpha.kubernetes.io/",
    "metadata.annotations[\"autoscaling.alpha.kubernetes.io/",
    "metadata.annotations[\"batch.kubernetes.io/",
    "metadata.annotations[\"argocd.argoproj.io/refresh",
    "metadata.annotations[\"reconcile.fluxcd.io/",
    "metadata.annotations[\"node.alpha.kubernetes.io/",
    "metadata.annotations[\"meta.helm.sh/",
    "metadata.annotations[\"deprecated.daemonset.template.generation",
    "spec.volumeName",
];

fn is_bookkeeping(path: &str) -> bool {
    BOOKKEEPING.iter().any(|start| {
        path.strip_prefix(start)
            .is_some_and(|rest| start.contains('[') || rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// Fields that are named.
const NAMED: usize = 6;

/// What an engineer would look at first: the names of some, and how many there are.
pub(super) fn words(paths: &[String]) -> String {
    let interest =
        |path: &String| INTERESTING.iter().position(|part| path.contains(part)).unwrap_or(INTERESTING.len());
    let mut paths: Vec<&String> = paths.iter().collect();
    paths.sort_by_key(|path| interest(path));
    let named: Vec<String> = paths.iter().take(NAMED).map(|path| short(path)).collect();
    let more = paths.len().saturating_sub(NAMED);
    match (paths.len(), more) {
        (1, _) => format!("changed {}", named[0]),
        (_, 0) => format!("changed one or more of {}", named.join(", ")),
        _ => format!("changed one or more of {} and {more} other fields", named.join(", ")),
    }
}

/// In the order of how often they are the cause.
const INTERESTING: [&str; 12] = [
    ".image",
    "data",
    ".env",
    "replicas",
    ".resources",
    "selector",
    ".ports",
    "Probe",
    ".args",
    ".command",
    ".volumes",
    "spec",
];

/// The way to the template of pods is the same in all workloads.
fn short(path: &str) -> String {
    path.replace("spec.template.spec.", "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{owned, words};

    #[test]
    fn owned_fields_are_paths_without_bookkeeping() {
        let fields = json!({
            "f:metadata": { "f:annotations": { ".": {}, "f:deployment.kubernetes.io/revision": {}, "f:team": {} },
                            "f:labels": { "f:app.kubernetes.io/name": {} } },
            "f:spec": { "f:replicas": {}, "f:template": { "f:spec": { "f:containers": {
                "k:{\"name\":\"web\"}": { ".": {}, "f:image": {}, "f:ports": {
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } } } } } } },
            "f:status": { "f:replicas": {} },
        });
        assert_eq!(
            owned(&fields),
            [
                "metadata.annotations.team",
                "metadata.labels[\"app.kubernetes.io/name\"]",
                "spec.replicas",
                "spec.template.spec.containers[name=web].image",
                "spec.template.spec.containers[name=web].ports[containerPort=80,protocol=TCP].containerPort",
            ]
        );
        assert!(owned(&json!({ "f:status": { "f:phase": {} } })).is_empty());
    }

    #[test]
    fn what_is_most_often_the_cause_is_named_first() {
        let paths: Vec<String> =
            ["spec.strategy.type", "spec.template.spec.containers[name=web].image"].map(str::to_owned).into();
        assert_eq!(words(&paths), "changed one or more of containers[name=web].image, spec.strategy.type");
        assert_eq!(words(&["data.LEVEL".to_owned()]), "changed data.LEVEL");
    }
}
