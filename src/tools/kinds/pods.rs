//! What pods say about the workloads that made them and the Services that shall select them.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Facts, Line, Meta, Pod, Shape};
use crate::{answer::Rank, tools::target};

/// Takes the pods of a list one by one and keeps little of each.
#[derive(Clone, Debug, Default)]
pub(in crate::tools) struct Pods {
    /// By namespace, kind and name of what made them.
    unwell: HashMap<(String, String, String), Unwell>,
    /// How many pods have a label, by namespace, key and value.
    labels: HashMap<String, BTreeMap<String, BTreeMap<String, usize>>>,
}

/// The unhealthy pods of one workload; the worst speaks for all.
#[derive(Clone, Debug)]
struct Unwell {
    count: usize,
    rank: Rank,
    name: String,
    why: String,
}

/// Controllers give these to every pod anew: no Service selects by them.
const MADE: [&str; 4] =
    ["pod-template-hash", "controller-revision-hash", "controller-uid", "batch.kubernetes.io/controller-uid"];

impl Pods {
    /// What is no pod is left out.
    pub(in crate::tools) fn add(&mut self, pod: &RawValue, facts: &Facts) {
        let Ok(pod) = serde_json::from_str::<Pod>(pod.get()) else { return };
        self.label(&pod.metadata);
        let health = pod.health(facts);
        if health.rank > Rank::Warning {
            return;
        }
        let meta = &pod.metadata;
        let controller = meta.controller().map(|owner| (owner.kind.clone(), owner.name.clone()));
        let mut makers: Vec<_> = controller.into_iter().chain(meta.workload()).collect();
        makers.dedup();
        for (kind, name) in makers {
            let worst =
                || Unwell { count: 0, rank: health.rank, name: meta.name.clone(), why: health.why.clone() };
            let known = self.unwell.entry((meta.namespace.clone(), kind, name)).or_insert_with(worst);
            if health.rank < known.rank {
                *known = Unwell { count: known.count, ..worst() };
            }
            known.count += 1;
        }
    }

    /// Which pod it is and why it is unhealthy; nothing for one that is well.
    pub(in crate::tools) fn unwell(pod: &RawValue, facts: &Facts) -> Option<String> {
        let pod = serde_json::from_str::<Pod>(pod.get()).ok()?;
        let health = pod.health(facts);
        (health.rank <= Rank::Warning).then(|| format!("pod {}: {}", pod.metadata.name, health.why))
    }

    /// Takes the labels alone.
    pub(in crate::tools) fn add_labels(&mut self, pod: &RawValue) {
        #[derive(Deserialize)]
        struct Labelled {
            metadata: Meta,
        }
        if let Ok(Labelled { metadata }) = serde_json::from_str(pod.get()) {
            self.label(&metadata);
        }
    }

    fn label(&mut self, meta: &Meta) {
        let Meta { namespace, labels, .. } = meta;
        let known = self.labels.entry(namespace.clone()).or_default();
        for (key, value) in labels.iter().filter(|(key, _)| !MADE.contains(&key.as_str())) {
            *known.entry(key.clone()).or_default().entry(value.clone()).or_default() += 1;
        }
    }

    /// Adds to an unhealthy workload's row why its worst pod is unhealthy.
    pub(in crate::tools) fn explain(&self, kind: &str, line: &mut Line) {
        let key = (line.namespace.clone(), kind.to_owned(), line.name.clone());
        let Some(Unwell { count, rank, name, why }) = self.unwell.get(&key) else { return };
        if line.health.rank > Rank::Warning {
            return;
        }
        let which = if *count == 1 { format!("pod {name}") } else { format!("{count} pods, worst {name}") };
        line.health.rank = line.health.rank.min(*rank);
        line.health.why = format!("{}; {which}: {why}", line.health.why);
    }

    /// For a selector that no pod of the namespace fits: the label that was probably meant.
    pub(super) fn nearest(&self, namespace: &str, selector: &BTreeMap<String, String>) -> Option<String> {
        let labels = self.labels.get(namespace)?;
        selector.iter().find_map(|(key, value)| {
            let values = labels.get(key).filter(|values| !values.contains_key(value))?;
            let near = target::nearest(value, values.keys().map(String::as_str));
            let near = near.first()?;
            let count = values.get(*near)?;
            Some(format!("{key}={near}, {count} {}", if *count == 1 { "pod" } else { "pods" }))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json, value::to_raw_value};

    use super::{Facts, Line, Pods};
    use crate::{answer::Rank, tools::kinds::Health};

    fn pod(name: &str, state: Value) -> Value {
        json!({
            "metadata": { "name": name, "namespace": "shop",
                "labels": { "app": "cart", "pod-template-hash": "5494bd5f98" },
                "ownerReferences": [{ "kind": "ReplicaSet", "name": "cart-5494bd5f98", "controller": true }] },
            "spec": { "containers": [{ "name": "cart" }] },
            "status": { "phase": "Running",
                "containerStatuses": [{ "name": "cart", "ready": false, "state": state }] },
        })
    }

    fn pods() -> Pods {
        let facts = Facts::at("2026-01-01T01:00:00Z".parse().unwrap());
        let mut pods = Pods::default();
        for pod in [
            pod("cart-5494bd5f98-aaaaa", json!({ "running": {} })),
            pod("cart-5494bd5f98-bbbbb", json!({ "waiting": { "reason": "CrashLoopBackOff" } })),
        ] {
            pods.add(&to_raw_value(&pod).unwrap(), &facts);
        }
        pods
    }

    #[test]
    fn the_worst_pod_says_why_its_makers_are_unhealthy() {
        for (kind, name) in [("Deployment", "cart"), ("ReplicaSet", "cart-5494bd5f98")] {
            let mut line = Line {
                namespace: "shop".into(),
                name: name.into(),
                health: Health::warning("0/2 available"),
                cells: Vec::new(),
                age: String::new(),
            };
            pods().explain(kind, &mut line);
            let why = "0/2 available; 2 pods, worst cart-5494bd5f98-bbbbb: container cart: CrashLoopBackOff";
            assert_eq!(line.health, Health { rank: Rank::Broken, why: why.into() });
            line.health = Health::healthy();
            pods().explain(kind, &mut line);
            assert_eq!(line.health, Health::healthy());
        }
    }

    #[test]
    fn a_mistyped_selector_is_told_the_label_that_pods_have() {
        let near = |namespace: &str, key: &str, value: &str| {
            pods().nearest(namespace, &[(key.to_owned(), value.to_owned())].into())
        };
        assert_eq!(near("shop", "app", "cartt").as_deref(), Some("app=cart, 2 pods"));
        assert_eq!(near("shop", "app", "cart"), None);
        assert_eq!(near("shop", "app", "warehouse"), None);
        assert_eq!(near("shop", "tier", "cart"), None);
        assert_eq!(near("other", "app", "cartt"), None);
    }
}
