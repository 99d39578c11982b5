//! Use against what was asked for and what is allowed. Pure.

use serde::Deserialize;

use crate::{
    answer::Rank,
    tools::{kinds::Meta, quantity},
};

/// Cores and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Amounts {
    pub(super) cpu: f64,
    pub(super) memory: f64,
}

impl Amounts {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory }
    }

    fn largest(self, other: Self) -> Self {
        Self { cpu: self.cpu.max(other.cpu), memory: self.memory.max(other.memory) }
    }
}

/// As pods, containers and metrics say it; what is absent is nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Quantities {
    cpu: Option<String>,
    memory: Option<String>,
}

impl Quantities {
    pub(super) fn amounts(&self) -> Amounts {
        let read = |text: &Option<String>| text.as_deref().and_then(quantity::amount).unwrap_or_default();
        Amounts { cpu: read(&self.cpu), memory: read(&self.memory) }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resources {
    pub(super) requests: Quantities,
    pub(super) limits: Quantities,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) resources: Resources,
    restart_policy: String,
}

/// A pod as far as its use is concerned.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: Meta,
    pub(super) spec: Spec,
    pub(super) status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) phase: String,
}

/// What of a pod's spec says how much it may use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) node_name: String,
    pub(super) containers: Vec<Container>,
    pub(super) init_containers: Vec<Container>,
    /// Of the pod as a whole, where the cluster knows that.
    resources: Resources,
    overhead: Quantities,
}

impl Spec {
    /// What the scheduler reckons: the containers together, or the largest moment of starting if that is more.
    pub(super) fn requests(&self) -> Amounts {
        self.scheduled(|resources| resources.requests.amounts())
    }

    pub(super) fn limits(&self) -> Amounts {
        self.scheduled(|resources| resources.limits.amounts())
    }

    fn scheduled(&self, of: impl Fn(&Resources) -> Amounts) -> Amounts {
        let running =
            self.containers.iter().fold(Amounts::default(), |sum, one| sum.plus(of(&one.resources)));
        let (mut sidecars, mut starting) = (Amounts::default(), Amounts::default());
        for container in &self.init_containers {
            let own = of(&container.resources);
            if container.is_sidecar() {
                sidecars = sidecars.plus(own);
                starting = starting.largest(sidecars);
            } else {
                starting = starting.largest(sidecars.plus(own));
            }
        }
        let sum = running.plus(sidecars).largest(starting);
        let whole = of(&self.resources);
        let chosen = |whole: f64, sum: f64| if whole > 0.0 { whole } else { sum };
        let chosen = Amounts { cpu: chosen(whole.cpu, sum.cpu), memory: chosen(whole.memory, sum.memory) };
        chosen.plus(self.overhead.amounts())
    }

    /// Those that run as long as the pod does.
    pub(super) fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().chain(self.init_containers.iter().filter(|container| container.is_sidecar()))
    }
}

impl Container {
    fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }
}

/// Use and its bounds; a bound of nothing is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Share {
    pub(super) used: Amounts,
    pub(super) requests: Amounts,
    pub(super) limits: Amounts,
}

/// Memory past this share of its limit is soon a kill; past the second, worth a look.
const MEMORY_NEAR: f64 = 0.9;
const MEMORY_HIGH: f64 = 0.8;
/// CPU past this share of its limit is throttled in bursts.
const CPU_HIGH: f64 = 0.9;

impl Share {
    /// The share that is nearest to its end: of a limit, or of a request where there is no limit.
    pub(super) fn worst(&self) -> f64 {
        let Self { used, requests, limits } = self;
        let of = |used: f64, request: f64, limit: f64| {
            // Past its request nothing happens by itself: half as near as a limit.
            ratio(used, limit).unwrap_or_else(|| ratio(used, request).unwrap_or_default() / 2.0)
        };
        of(used.cpu, requests.cpu, limits.cpu).max(of(used.memory, requests.memory, limits.memory))
    }

    /// How bad it is, and why; no words when nothing is.
    pub(super) fn judged(&self, name: &str) -> (Rank, String) {
        let Self { used, requests: _, limits } = self;
        let of = if name.is_empty() { String::new() } else { format!("container {name}: ") };
        let memory = ratio(used.memory, limits.memory).unwrap_or_default();
        let cpu = ratio(used.cpu, limits.cpu).unwrap_or_default();
        let words = |what: &str, used: String, limit: String, then: &str| {
            format!("{of}{what} {used} of its limit {limit}{then}")
        };
        let memory_words =
            |then| words("memory", quantity::bytes(used.memory), quantity::bytes(limits.memory), then);
        if memory >= MEMORY_NEAR {
            (Rank::Broken, memory_words(": will be OOMKilled at the limit"))
        } else if cpu >= CPU_HIGH {
            (
                Rank::Warning,
                words("CPU", quantity::cores(used.cpu), quantity::cores(limits.cpu), ": is throttled"),
            )
        } else if memory >= MEMORY_HIGH {
            (Rank::Warning, memory_words(""))
        } else {
            (Rank::Neutral, String::new())
        }
    }

    /// `CPU CPU/REQ CPU/LIM MEMORY MEM/REQ MEM/LIM`.
    pub(super) fn cells(&self) -> [String; 6] {
        let Self { used, requests, limits } = self;
        [
            quantity::cores(used.cpu),
            percent(used.cpu, requests.cpu),
            percent(used.cpu, limits.cpu),
            quantity::bytes(used.memory),
            percent(used.memory, requests.memory),
            percent(used.memory, limits.memory),
        ]
    }
}

fn ratio(used: f64, bound: f64) -> Option<f64> {
    (bound > 0.0).then(|| used / bound)
}

pub(super) fn percent(used: f64, bound: f64) -> String {
    ratio(used, bound).map_or_else(String::new, |share| format!("{:.0}%", share * 100.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{Amounts, Share, Spec};
    use crate::answer::Rank;

    #[test]
    fn a_pod_is_reckoned_as_the_scheduler_does() {
        let of = |cpu: &str, memory: &str| json!({ "requests": { "cpu": cpu, "memory": memory } });
        let spec: Spec = serde_json::from_value(json!({
            "containers": [{ "name": "web", "resources": of("100m", "64Mi") }],
            "initContainers": [
                { "name": "mesh", "restartPolicy": "Always", "resources": of("50m", "32Mi") },
                { "name": "migrate", "resources": of("1", "16Mi") }],
            "overhead": { "cpu": "10m" },
        }))
        .unwrap();
        let requests = spec.requests();
        assert!((requests.cpu - 1.06).abs() < 1e-9, "{requests:?}");
        assert!((requests.memory - 96.0 * 1_048_576.0).abs() < 1.0, "{requests:?}");
        assert_eq!(spec.limits(), Amounts { cpu: 0.01, memory: 0.0 });
        assert_eq!(spec.running().count(), 2);
    }

    #[test]
    fn near_the_limit_of_memory_is_worst() {
        let share = |used: f64, limit: f64| Share {
            used: Amounts { cpu: 0.1, memory: used },
            requests: Amounts { cpu: 0.1, memory: used / 2.0 },
            limits: Amounts { cpu: 0.0, memory: limit },
        };
        let mib = 1_048_576.0;
        let (rank, why) = share(95.0 * mib, 100.0 * mib).judged("web");
        assert_eq!(rank, Rank::Broken);
        assert_eq!(why, "container web: memory 95Mi of its limit 100Mi: will be OOMKilled at the limit");
        assert_eq!(share(85.0, 100.0).judged("").0, Rank::Warning);
        assert_eq!(share(50.0, 100.0).judged("").0, Rank::Neutral);
        assert!(share(95.0, 100.0).worst() > share(500.0, 0.0).worst() - 1.0);
        assert_eq!(share(10.0, 100.0).cells()[2], "");
    }
}
