//! How much could go wrong, by plain rules over the rendered objects. Each rule says why. Pure.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use super::Story;
use crate::{
    changes::checks::{Outcome, pairs, pairs::Pair},
    tools::quantity::billionths,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Low,
    Medium,
    High,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Risk {
    pub(super) level: Level,
    /// What made it so first.
    pub(super) reasons: Vec<String>,
}

/// From so many pods on it matters to many.
const MANY: u64 = 20;
const VERY_MANY: u64 = 100;

pub(super) fn of(story: &Story<'_>) -> Risk {
    let mut found: Vec<(Level, String)> = Vec::new();
    for pair in pairs::of(story.before, story.after) {
        object(&pair, story.pods, &mut found);
    }
    for check in story.checks.iter().filter(|check| check.outcome == Outcome::NotRun) {
        found.push((Level::Low, format!("the check {} could not be made", check.name)));
    }
    found.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    found.dedup();
    let level = found.first().map_or(Level::Low, |(level, _)| *level);
    let mut reasons: Vec<String> = found.into_iter().map(|(_, reason)| reason).collect();
    if reasons.is_empty() {
        reasons.push("no rule of ours sees a danger in these fields".to_owned());
    }
    Risk { level, reasons }
}

/// Kinds that decide about others.
const FAR: [&str; 12] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "Namespace",
    "PriorityClass",
    "Role",
    "RoleBinding",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];
const TRAFFIC: [&str; 7] =
    ["Gateway", "GRPCRoute", "HTTPRoute", "Ingress", "NetworkPolicy", "Service", "VirtualService"];

fn object(pair: &Pair<'_>, pods: Option<u32>, found: &mut Vec<(Level, String)>) {
    let (_, kind) = pair.api();
    let words = pair.words();
    let mut add = |level, reason: String| found.push((level, format!("{words}: {reason}")));
    let (before, after) = match (pair.before, pair.after) {
        (Some(before), Some(after)) => (before, after),
        (None, _) => return add(Level::Medium, "is a new object".to_owned()),
        (_, None) => return add(Level::High, "is removed".to_owned()),
    };
    if FAR.contains(&kind) {
        add(Level::High, format!("a {kind} decides about what others may do or get"));
    }
    if TRAFFIC.contains(&kind) {
        add(Level::Medium, format!("a {kind} decides who reaches what"));
    }
    for (path, why) in immutable(kind) {
        if before.pointer(path) != after.pointer(path) {
            add(Level::High, format!("{} {why}", path.trim_start_matches('/').replace('/', ".")));
        }
    }
    replicas(before, after, &mut add);
    let (old, new) = (containers(before), containers(after));
    for (name, new) in &new {
        let Some(old) = old.get(name) else {
            add(Level::Medium, format!("container {name} is new"));
            continue;
        };
        container(name, old, new, &mut add);
    }
    old.keys().filter(|name| !new.contains_key(*name)).for_each(|name| {
        add(Level::High, format!("container {name} is removed"));
    });
    if rolls(pair) {
        let count = pods.map(u64::from).or_else(|| after["spec"]["replicas"].as_u64()).unwrap_or(1);
        let level = match count {
            VERY_MANY.. => Level::High,
            MANY.. => Level::Medium,
            _ => Level::Low,
        };
        let all_at_once = after["spec"]["strategy"]["type"] == "Recreate";
        if all_at_once && count > 0 {
            add(Level::Medium, "all pods stop before new ones start (strategy Recreate)".to_owned());
        }
        add(
            level,
            format!(
                "replaces {}",
                crate::answer::counted(usize::try_from(count).unwrap_or(usize::MAX), "pod")
            ),
        );
    }
}

/// Fields that an object keeps from its making on.
fn immutable(kind: &str) -> &'static [(&'static str, &'static str)] {
    const FIXED: &str = "cannot be changed in place: the object must be made anew";
    match kind {
        "Deployment" | "DaemonSet" => &[("/spec/selector", FIXED)],
        "StatefulSet" => {
            &[("/spec/selector", FIXED), ("/spec/serviceName", FIXED), ("/spec/volumeClaimTemplates", FIXED)]
        }
        "Job" => &[("/spec/selector", FIXED), ("/spec/template", FIXED)],
        "PersistentVolumeClaim" => &[("/spec/storageClassName", FIXED), ("/spec/accessModes", FIXED)],
        "Service" => &[
            ("/spec/clusterIP", FIXED),
            ("/spec/selector", "decides which pods get the traffic; a wrong one gives it to none"),
        ],
        "RoleBinding" | "ClusterRoleBinding" => &[("/roleRef", FIXED)],
        _ => &[],
    }
}

fn replicas(before: &Value, after: &Value, add: &mut impl FnMut(Level, String)) {
    for (field, what) in
        [("replicas", "pods"), ("minReplicas", "pods at least"), ("maxReplicas", "pods at most")]
    {
        let of = |object: &Value| object["spec"][field].as_u64();
        let (Some(old), Some(new)) = (of(before), of(after)) else { continue };
        if new == 0 && old > 0 && field != "minReplicas" {
            add(Level::High, format!("goes from {old} to 0 {what}: nothing of it runs"));
        } else if new < old {
            add(Level::Medium, format!("goes from {old} down to {new} {what}"));
        } else if new > old {
            add(Level::Low, format!("goes from {old} up to {new} {what}"));
        }
    }
}

fn container(name: &str, old: &Value, new: &Value, add: &mut impl FnMut(Level, String)) {
    if old["image"] != new["image"] {
        let said = |image: &Value| image.as_str().unwrap_or("(none)").to_owned();
        add(
            Level::Medium,
            format!(
                "container {name} runs another image: {} instead of {}",
                said(&new["image"]),
                said(&old["image"])
            ),
        );
    }
    for section in ["limits", "requests"] {
        for resource in ["cpu", "memory"] {
            let of = |container: &Value| {
                let said = &container["resources"][section][resource];
                said.as_str().map(str::to_owned).or_else(|| said.as_number().map(ToString::to_string))
            };
            let (Some(old), Some(new)) = (of(old), of(new)) else { continue };
            if let (Some(less), Some(more)) = (billionths(&new), billionths(&old))
                && less < more
            {
                let level =
                    if section == "limits" && resource == "memory" { Level::Medium } else { Level::Low };
                add(
                    level,
                    format!("container {name} gets less {resource} ({section}): {new} instead of {old}"),
                );
            }
        }
    }
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        if !old[probe].is_null() && new[probe].is_null() {
            add(Level::Medium, format!("container {name} loses its {probe}"));
        }
    }
    let privileged = |container: &Value| container["securityContext"]["privileged"] == true;
    if privileged(new) && !privileged(old) {
        add(Level::High, format!("container {name} becomes privileged"));
    }
}

/// Whether pods are made anew by it.
pub(super) fn rolls(pair: &Pair<'_>) -> bool {
    let template = |object: Option<&Value>| object.map(|object| object["spec"]["template"].clone());
    let (_, kind) = pair.api();
    ["Deployment", "StatefulSet", "DaemonSet"].contains(&kind)
        && pair.before.is_some()
        && pair.after.is_some()
        && template(pair.before) != template(pair.after)
}

/// By name, wherever the kind keeps its pods.
fn containers(object: &Value) -> BTreeMap<String, Value> {
    let specs = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
    let Some(spec) = specs.iter().find_map(|path| object.pointer(path)) else { return BTreeMap::new() };
    let lists = ["containers", "initContainers"];
    let all = lists.iter().filter_map(|list| spec[*list].as_array()).flatten();
    all.filter_map(|container| Some((container["name"].as_str()?.to_owned(), container.clone()))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Level, Pair, object};

    fn web() -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "replicas": 3, "selector": { "matchLabels": { "app": "web" } }, "template": { "spec": { "containers": [
                { "name": "web", "image": "web:1", "readinessProbe": {}, "resources": { "limits": { "memory": "1Gi", "cpu": 1 } } }] } } } })
    }

    fn judged(before: Option<&Value>, after: Option<&Value>) -> (Level, String) {
        let mut found = Vec::new();
        object(&Pair { before, after }, None, &mut found);
        found.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        found.into_iter().next().unwrap()
    }

    #[test]
    fn each_rule_says_why() {
        let container = "/spec/template/spec/containers/0";
        for (path, new, level, says) in [
            ("/spec/replicas".to_owned(), json!(0), Level::High, "from 3 to 0 pods"),
            ("/spec/replicas".to_owned(), json!(1), Level::Medium, "from 3 down to 1 pods"),
            ("/spec/replicas".to_owned(), json!(5), Level::Low, "from 3 up to 5 pods"),
            ("/spec/selector/matchLabels/app".to_owned(), json!("x"), Level::High, "made anew"),
            (format!("{container}/image"), json!("web:2"), Level::Medium, "web:2 instead of web:1"),
            (format!("{container}/readinessProbe"), json!(null), Level::Medium, "loses its readinessProbe"),
            (
                format!("{container}/resources/limits/memory"),
                json!("512Mi"),
                Level::Medium,
                "gets less memory",
            ),
            (format!("{container}/resources/limits/cpu"), json!("500m"), Level::Low, "gets less cpu"),
            (format!("{container}/resources/limits/memory"), json!("2Gi"), Level::Low, "replaces 3 pods"),
            (format!("{container}/name"), json!("other"), Level::High, "container web is removed"),
        ] {
            let (before, mut after) = (web(), web());
            *after.pointer_mut(&path).unwrap() = new;
            let (found, reason) = judged(Some(&before), Some(&after));
            assert_eq!(found, level, "{path}: {reason}");
            assert!(reason.starts_with("Deployment shop/web: ") && reason.contains(says), "{reason}");
        }
    }

    #[test]
    fn what_comes_and_goes_is_told() {
        let web = web();
        assert_eq!(judged(None, Some(&web)).0, Level::Medium);
        assert_eq!(judged(Some(&web), None).0, Level::High);
        let mut many = web.clone();
        many["spec"]["replicas"] = json!(150);
        let mut rolled = many.clone();
        rolled["spec"]["template"]["metadata"] = json!({ "labels": { "a": "b" } });
        assert_eq!(judged(Some(&many), Some(&rolled)).0, Level::High);
    }
}
