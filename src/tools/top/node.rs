//! Nodes: what is used on them, and what is promised.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Sort, key,
    share::{Amounts, Pod, Quantities, percent},
};
use crate::{
    answer::{Rank, Row},
    tools::quantity,
};

#[derive(Debug, Default)]
struct Node {
    allocatable: Amounts,
    pods_at_most: f64,
    used: Option<Amounts>,
    requested: Amounts,
    limits: Amounts,
    pods: usize,
    unschedulable: bool,
}

/// All nodes, put together from three lists.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: BTreeMap<String, Node>,
    without_pods: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

impl Nodes {
    pub(super) fn add(&mut self, node: &RawValue) {
        #[derive(Deserialize)]
        struct Seen {
            metadata: Named,
            #[serde(default)]
            spec: Flags,
            #[serde(default)]
            status: Status,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Flags {
            unschedulable: bool,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            allocatable: Allocatable,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Allocatable {
            #[serde(flatten)]
            amounts: Quantities,
            pods: String,
        }
        let Ok(Seen { metadata, spec, status }) = serde_json::from_str(node.get()) else { return };
        let Allocatable { amounts, pods } = status.allocatable;
        let known = self.nodes.entry(metadata.name).or_default();
        known.allocatable = amounts.amounts();
        known.pods_at_most = quantity::amount(&pods).unwrap_or_default();
        known.unschedulable = spec.unschedulable;
    }

    pub(super) fn add_use(&mut self, metrics: &RawValue) {
        #[derive(Deserialize)]
        struct Seen {
            metadata: Named,
            #[serde(default)]
            usage: Quantities,
        }
        let Ok(Seen { metadata, usage }) = serde_json::from_str(metrics.get()) else { return };
        if let Some(node) = self.nodes.get_mut(&metadata.name) {
            node.used = Some(usage.amounts());
        }
    }

    pub(super) fn add_pod(&mut self, pod: &RawValue) {
        let Ok(Pod { metadata: _, spec, status }) = serde_json::from_str(pod.get()) else { return };
        // What has ended holds nothing.
        if ["Succeeded", "Failed"].contains(&status.phase.as_str()) {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&spec.node_name) {
            node.requested = node.requested.plus(spec.requests());
            node.limits = node.limits.plus(spec.limits());
            node.pods += 1;
        }
    }

    /// When only a part of the pods could be read.
    pub(super) fn forget_pods(&mut self) {
        self.without_pods = true;
    }

    pub(super) fn rows(self, sort: Sort) -> (Vec<&'static str>, Vec<Row>) {
        let Self { nodes, without_pods } = self;
        let columns = vec![
            "NODE", "CPU", "CPU%", "CPU-REQ%", "CPU-LIM%", "MEMORY", "MEM%", "MEM-REQ%", "MEM-LIM%", "PODS",
            "WHY",
        ];
        let rows = nodes.into_iter().map(|(name, node)| node.row(&name, without_pods, sort)).collect();
        (columns, rows)
    }
}

/// Past these shares of what a node has to give.
const MEMORY_FULL: f64 = 0.9;
const CPU_FULL: f64 = 0.9;
const REQUESTS_FULL: f64 = 0.95;

impl Node {
    fn row(self, name: &str, without_pods: bool, sort: Sort) -> Row {
        let Self { allocatable, pods_at_most, used, requested, limits, pods, unschedulable } = self;
        let of_used = used.unwrap_or_default();
        let share = |amount: f64, of: f64| if of > 0.0 { amount / of } else { 0.0 };
        let (cpu, memory) = (share(of_used.cpu, allocatable.cpu), share(of_used.memory, allocatable.memory));
        let mut why = Vec::new();
        if used.is_none() {
            why.push("no values: metrics-server does not reach its kubelet, or it is new".to_owned());
        }
        if memory >= MEMORY_FULL {
            why.push("memory nearly used up: pods will be evicted".to_owned());
        }
        if cpu >= CPU_FULL {
            why.push("CPU used up".to_owned());
        }
        let mut rank = if why.is_empty() { Rank::Neutral } else { Rank::Broken };
        let full = |amount: f64, of: f64| share(amount, of) >= REQUESTS_FULL;
        if !without_pods {
            for (what, is_full) in [
                ("CPU requests", full(requested.cpu, allocatable.cpu)),
                ("memory requests", full(requested.memory, allocatable.memory)),
                ("pod places", full(pods as f64, pods_at_most)),
            ] {
                if is_full {
                    why.push(format!("{what} are taken: it gets no more pods"));
                    rank = rank.min(Rank::Warning);
                }
            }
        }
        if unschedulable {
            why.push("cordoned".to_owned());
        }
        let known = |text: String| if without_pods { String::new() } else { text };
        let used_text = |text: String| if used.is_none() { String::new() } else { text };
        let cells = vec![
            name.to_owned(),
            used_text(quantity::cores(of_used.cpu)),
            used_text(percent(of_used.cpu, allocatable.cpu)),
            known(percent(requested.cpu, allocatable.cpu)),
            known(percent(limits.cpu, allocatable.cpu)),
            used_text(quantity::bytes(of_used.memory)),
            used_text(percent(of_used.memory, allocatable.memory)),
            known(percent(requested.memory, allocatable.memory)),
            known(percent(limits.memory, allocatable.memory)),
            known(format!("{pods}/{pods_at_most:.0}")),
            why.join("; "),
        ];
        Row {
            rank,
            key: key(sort, cpu.max(memory), of_used.cpu, of_used.memory, name),
            group: String::new(),
            cells,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{json, value::to_raw_value};

    use super::{Nodes, Sort};
    use crate::answer::Rank;

    #[test]
    fn a_node_shows_what_is_used_and_what_is_promised() {
        let raw = |value| to_raw_value(&value).unwrap();
        let mut nodes = Nodes::default();
        nodes.add(&raw(json!({ "metadata": { "name": "n1" },
            "status": { "allocatable": { "cpu": "2", "memory": "4Gi", "pods": "110" } } })));
        nodes.add(&raw(json!({ "metadata": { "name": "n2" }, "spec": { "unschedulable": true },
            "status": { "allocatable": { "cpu": "2", "memory": "4Gi", "pods": "1" } } })));
        nodes.add_use(&raw(
            json!({ "metadata": { "name": "n1" }, "usage": { "cpu": "500m", "memory": "1Gi" } }),
        ));
        let pod = |node: &str, phase: &str| {
            json!({ "spec": { "nodeName": node, "containers": [
            { "name": "a", "resources": { "requests": { "cpu": "1" } } }] }, "status": { "phase": phase } })
        };
        for pod in [pod("n1", "Running"), pod("n1", "Succeeded"), pod("n2", "Running")] {
            nodes.add_pod(&raw(pod));
        }
        let (_, rows) = nodes.rows(Sort::Share);
        assert_eq!(rows[0].cells[..6], ["n1", "500m", "25%", "50%", "0%", "1.0Gi"]);
        assert_eq!(rows[0].rank, Rank::Neutral);
        assert_eq!(rows[1].rank, Rank::Broken);
        assert!(rows[1].cells[10].contains("no values"), "{:?}", rows[1]);
        assert!(
            rows[1].cells[10].contains("pod places are taken: it gets no more pods; cordoned"),
            "{:?}",
            rows[1]
        );
    }
}
