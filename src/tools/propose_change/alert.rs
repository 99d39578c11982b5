//! Which objects the labels of an alert name. Pure.

use std::collections::BTreeMap;

/// An object as a label names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) kind: String,
    pub(super) name: String,
}

/// Labels that name what an alert is about, and their kinds.
const SUBJECTS: [(&str, &str); 15] = [
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("replicaset", "ReplicaSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("hpa", "HorizontalPodAutoscaler"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("persistentvolume", "PersistentVolume"),
    ("poddisruptionbudget", "PodDisruptionBudget"),
    ("resourcequota", "ResourceQuota"),
    ("ingress", "Ingress"),
    ("pod", "Pod"),
    ("pod_name", "Pod"),
];
/// Labels that say where something runs or by what it is reached: they count where nothing else is named.
const SURROUNDINGS: [(&str, &str); 2] = [("service", "Service"), ("node", "Node")];
/// Whoever scrapes puts its own labels in the place of those that were there, which then have this before them.
const MOVED: &str = "exported_";

/// The labels that are looked for, in words.
pub(super) fn known() -> String {
    let all = SUBJECTS.iter().chain(&SURROUNDINGS).map(|(label, _)| *label);
    all.collect::<Vec<_>>().join(", ")
}

fn label<'a>(labels: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let value = labels.get(&format!("{MOVED}{name}")).or_else(|| labels.get(name))?;
    Some(value.as_str()).filter(|value| !value.is_empty())
}

pub(super) fn namespace(labels: &BTreeMap<String, String>) -> Option<String> {
    label(labels, "namespace").or_else(|| label(labels, "kubernetes_namespace")).map(str::to_owned)
}

/// Every object that the labels name as what the alert is about.
pub(super) fn subjects(labels: &BTreeMap<String, String>) -> Vec<Named> {
    let of = |table: &[(&str, &str)]| {
        let found = table.iter().filter_map(|(name, kind)| {
            Some(Named { kind: (*kind).to_owned(), name: label(labels, name)?.to_owned() })
        });
        found.collect::<Vec<_>>()
    };
    let mut named = of(&SUBJECTS);
    // As the recording rules of kubernetes-mixin name a pod's owner.
    if let (Some(kind), Some(name)) = (label(labels, "workload_type"), label(labels, "workload")) {
        named.push(Named { kind: kind.to_owned(), name: name.to_owned() });
    }
    if named.is_empty() {
        named = of(&SURROUNDINGS).into_iter().take(1).collect();
    }
    named.dedup();
    named
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{namespace, subjects};

    fn labels(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_alert_is_about_what_its_labels_name_and_not_about_what_measured_it() {
        for (given, expected) in [
            (vec![("pod", "web-1"), ("node", "n1"), ("service", "kube-state-metrics")], "Pod web-1"),
            (vec![("exported_pod", "web-1"), ("pod", "kube-state-metrics-0")], "Pod web-1"),
            (vec![("horizontalpodautoscaler", "web")], "HorizontalPodAutoscaler web"),
            (vec![("workload", "web"), ("workload_type", "deployment")], "deployment web"),
            (vec![("job_name", "nightly-1"), ("job", "kube-state-metrics")], "Job nightly-1"),
            (vec![("service", "web"), ("job", "web")], "Service web"),
            (vec![("node", "n1"), ("instance", "10.0.0.1:9100")], "Node n1"),
            (vec![("deployment", "web"), ("pod", "api-1")], "Deployment web, Pod api-1"),
            (vec![("deployment", ""), ("severity", "critical")], ""),
        ] {
            let named: Vec<String> =
                subjects(&labels(&given)).iter().map(|one| format!("{} {}", one.kind, one.name)).collect();
            assert_eq!(named.join(", "), expected, "{given:?}");
        }
    }

    #[test]
    fn the_namespace_is_the_one_of_the_object() {
        let of = |all: &[(&str, &str)]| namespace(&labels(all));
        assert_eq!(
            of(&[("namespace", "monitoring"), ("exported_namespace", "shop")]).as_deref(),
            Some("shop")
        );
        assert_eq!(of(&[("namespace", "shop")]).as_deref(), Some("shop"));
        assert_eq!(of(&[]), None);
    }
}
