//! Pods and containers: use beside what their spec asks for and allows.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Sort, key,
    share::{Amounts, Pod, Quantities, Share},
};
use crate::{
    answer::{Rank, Row},
    tools::kinds::Meta,
};

/// One row to be: a pod, or a container of it.
#[derive(Debug)]
struct Line {
    namespace: String,
    pod: String,
    container: String,
    node: String,
    share: Share,
    rank: Rank,
    why: String,
    /// The worst container's.
    worst: f64,
}

/// Pods with their use, put together from two lists.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// By namespace and pod: use by container.
    used: HashMap<(String, String), Vec<(String, Amounts)>>,
    lines: Vec<Line>,
    silent: Vec<String>,
}

/// Pods without values that are named.
const NAMED: usize = 5;

impl Uses {
    pub(super) fn add_use(&mut self, metrics: &RawValue) {
        #[derive(Deserialize)]
        struct Seen {
            metadata: Meta,
            #[serde(default)]
            containers: Vec<Used>,
        }
        #[derive(Deserialize)]
        struct Used {
            name: String,
            #[serde(default)]
            usage: Quantities,
        }
        let Ok(Seen { metadata, containers }) = serde_json::from_str(metrics.get()) else { return };
        let containers = containers.into_iter().map(|one| (one.name, one.usage.amounts())).collect();
        self.used.insert((metadata.namespace, metadata.name), containers);
    }

    pub(super) fn add(&mut self, pod: &RawValue, by_container: bool) {
        let Ok(Pod { metadata, spec, status }) = serde_json::from_str(pod.get()) else { return };
        let Meta { namespace, name, .. } = metadata;
        let Some(used) = self.used.remove(&(namespace.clone(), name.clone())) else {
            if status.phase == "Running" {
                self.silent.push(format!("{namespace}/{name}"));
            }
            return;
        };
        let containers: Vec<(&str, Share)> = spec
            .running()
            .filter_map(|container| {
                let (_, used) = used.iter().find(|(name, _)| *name == container.name)?;
                let (requests, limits) = (&container.resources.requests, &container.resources.limits);
                Some((
                    container.name.as_str(),
                    Share { used: *used, requests: requests.amounts(), limits: limits.amounts() },
                ))
            })
            .collect();
        let line = |container: &str, share: Share, rank: Rank, why: String, worst: f64| Line {
            namespace: namespace.clone(),
            pod: name.clone(),
            container: container.to_owned(),
            node: spec.node_name.clone(),
            share,
            rank,
            why,
            worst,
        };
        if by_container {
            self.lines.extend(containers.iter().map(|(container, share)| {
                let (rank, why) = share.judged("");
                line(container, *share, rank, why, share.worst())
            }));
            return;
        }
        let whole = Share {
            used: used.iter().fold(Amounts::default(), |sum, (_, used)| sum.plus(*used)),
            requests: spec.requests(),
            // Beside a container without a limit those of the others bound nothing.
            limits: all_limited(&containers, spec.limits()),
        };
        let several = containers.len() > 1;
        let judged = containers.iter().map(|(name, share)| share.judged(if several { name } else { "" }));
        let (rank, why) = judged.min_by_key(|(rank, _)| *rank).unwrap_or((Rank::Neutral, String::new()));
        let worst = containers.iter().map(|(_, share)| share.worst()).fold(0.0, f64::max);
        self.lines.push(line("", whole, rank, why, worst));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Running pods that have no values: too young, or their node is not reached.
    pub(super) fn silent(&self) -> String {
        let named: Vec<&str> = self.silent.iter().take(NAMED).map(String::as_str).collect();
        let more = self.silent.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", named.join(", "))
    }

    pub(super) fn rows(
        self,
        sort: Sort,
        by_container: bool,
        with_namespace: bool,
    ) -> (Vec<&'static str>, Vec<Row>) {
        let mut columns = Vec::new();
        if with_namespace {
            columns.push("NAMESPACE");
        }
        columns.push("POD");
        if by_container {
            columns.push("CONTAINER");
        }
        columns.extend(["CPU", "CPU/REQ", "CPU/LIM", "MEMORY", "MEM/REQ", "MEM/LIM", "NODE", "WHY"]);
        let rows = self.lines.into_iter().map(|line| line.row(sort, by_container, with_namespace)).collect();
        (columns, rows)
    }
}

fn all_limited(containers: &[(&str, Share)], limits: Amounts) -> Amounts {
    let all = |of: fn(&Amounts) -> f64| containers.iter().all(|(_, share)| of(&share.limits) > 0.0);
    Amounts {
        cpu: if all(|amounts| amounts.cpu) { limits.cpu } else { 0.0 },
        memory: if all(|amounts| amounts.memory) { limits.memory } else { 0.0 },
    }
}

impl Line {
    fn row(self, sort: Sort, by_container: bool, with_namespace: bool) -> Row {
        let Self { namespace, pod, container, node, share, rank, why, worst } = self;
        // By amount means by amount, whoever is near a limit.
        let rank = if sort == Sort::Share { rank } else { Rank::Neutral };
        let name = format!("{namespace}/{pod}/{container}");
        let key = key(sort, worst, share.used.cpu, share.used.memory, &name);
        let mut cells = Vec::new();
        if with_namespace {
            cells.push(namespace.clone());
        }
        cells.push(pod);
        if by_container {
            cells.push(container);
        }
        cells.extend(share.cells());
        cells.extend([node, why]);
        Row { rank, key, group: namespace, cells }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json, value::to_raw_value};

    use super::{Sort, Uses};
    use crate::answer::Rank;

    fn uses(by_container: bool) -> Uses {
        let raw = |value: Value| to_raw_value(&value).unwrap();
        let mut uses = Uses::default();
        let used = |name: &str, container: &str, cpu: &str, memory: &str| {
            json!({
            "metadata": { "namespace": "shop", "name": name },
            "containers": [{ "name": container, "usage": { "cpu": cpu, "memory": memory } },
                           { "name": "proxy", "usage": { "cpu": "1m", "memory": "1Mi" } }] })
        };
        uses.add_use(&raw(used("idle", "a", "1m", "10Mi")));
        uses.add_use(&raw(used("full", "a", "1m", "95Mi")));
        uses.add_use(&raw(used("busy", "a", "400m", "10Mi")));
        for name in ["idle", "full", "busy", "young"] {
            let pod = json!({ "metadata": { "namespace": "shop", "name": name }, "status": { "phase": "Running" },
                "spec": { "nodeName": "n1", "containers": [{ "name": "a", "resources": {
                    "requests": { "cpu": "100m", "memory": "50Mi" }, "limits": { "memory": "100Mi" } } },
                    { "name": "proxy" }] } });
            uses.add(&raw(pod), by_container);
        }
        uses
    }

    #[test]
    fn a_pod_is_as_near_its_end_as_its_worst_container() {
        let uses = uses(false);
        assert_eq!(uses.silent(), "shop/young");
        let (columns, mut rows) = uses.rows(Sort::Share, false, false);
        rows.sort_by_key(|row| (row.rank, row.key.clone()));
        let names: Vec<&str> = rows.iter().map(|row| row.cells[0].as_str()).collect();
        assert_eq!(names, ["full", "busy", "idle"]);
        assert_eq!(rows[0].rank, Rank::Broken);
        assert_eq!(columns.last(), Some(&"WHY"));
        assert!(rows[0].cells.last().unwrap().starts_with("container a: memory 95Mi of its limit 100Mi"));
        // One container has no limit, so the pod has none.
        assert_eq!(rows[0].cells[1..7], ["2m", "2%", "", "96Mi", "192%", ""]);
    }

    #[test]
    fn each_container_may_have_its_row() {
        let (columns, rows) = uses(true).rows(Sort::Memory, true, true);
        assert_eq!(columns[..3], ["NAMESPACE", "POD", "CONTAINER"]);
        assert_eq!(rows.len(), 6);
        let full = rows.iter().find(|row| row.cells[1] == "full" && row.cells[2] == "a").unwrap();
        assert_eq!(full.cells[8], "95%");
    }
}
