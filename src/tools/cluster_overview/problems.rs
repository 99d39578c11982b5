//! Unhealthy objects, those with one cause as one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    answer::Rank,
    tools::{
        kinds::{Line, Meta},
        list_events::stem,
    },
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) rank: Rank,
    kind: String,
    namespace: String,
    name: String,
    pub(super) why: String,
    /// The workload that made this pod.
    owner: Option<(String, String)>,
}

impl Problem {
    pub(super) fn of(kind: &str, object: &RawValue, line: Line) -> Self {
        #[derive(Deserialize)]
        struct Object {
            #[serde(default)]
            metadata: Meta,
        }
        let meta =
            serde_json::from_str::<Object>(object.get()).map(|object| object.metadata).unwrap_or_default();
        let owner = meta.workload().filter(|_| kind == "Pod");
        let Line { namespace, name, health, .. } = line;
        Self { rank: health.rank, kind: kind.to_owned(), namespace, name, why: health.why, owner }
    }

    #[cfg(test)]
    pub(super) fn named(rank: Rank, kind: &str, name: &str, why: &str) -> Self {
        let (kind, name, why) = (kind.into(), name.into(), why.into());
        Self { rank, kind, namespace: "shop".into(), name, why, owner: None }
    }

    /// `Deployment shop/cart`.
    pub(super) fn object(&self) -> String {
        if self.namespace.is_empty() {
            format!("{} {}", self.kind, self.name)
        } else {
            format!("{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Takes problems kind by kind, causes before what they break: pods come before their workloads.
#[derive(Default)]
pub(super) struct Problems {
    all: Vec<Problem>,
    /// Of pods: how many failed alike, and which one stands for them, by namespace and workload.
    pods: BTreeMap<(String, String, String), (usize, usize)>,
}

impl Problems {
    pub(super) fn add(&mut self, problem: Problem) {
        if let Some((kind, name)) = problem.owner.clone() {
            let key = (problem.namespace.clone(), kind, name);
            match self.pods.get_mut(&key) {
                Some((count, at)) => {
                    *count += 1;
                    // The worst speaks for all.
                    if problem.rank < self.all[*at].rank {
                        self.all[*at] = problem;
                    }
                }
                None => {
                    self.pods.insert(key, (1, self.all.len()));
                    self.all.push(problem);
                }
            }
            return;
        }
        let key = (problem.namespace.clone(), problem.kind.clone(), problem.name.clone());
        match self.pods.remove(&key) {
            // The workload says how much is missing, its pods say why.
            Some((count, at)) => {
                let pods = &self.all[at];
                let first = format!("pod {}", pods.name);
                let which = if count == 1 { first } else { format!("{count} pods, {first}") };
                let why = format!("{} ({}; {which})", pods.why, problem.why);
                let rank = problem.rank.min(pods.rank);
                self.all[at] = Problem { rank, why, ..problem };
            }
            None => self.all.push(problem),
        }
    }

    /// Broken first, otherwise in the order of the causes.
    pub(super) fn sorted(mut self) -> Vec<Problem> {
        for (count, at) in self.pods.into_values().filter(|(count, _)| *count > 1) {
            let pod = &mut self.all[at];
            let others = stem(&pod.kind, &pod.name);
            pod.why = format!("{} ({count} pods of {others} alike)", pod.why);
        }
        self.all.sort_by_key(|problem| problem.rank);
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::{Problem, Problems};
    use crate::answer::Rank;

    fn problem(rank: Rank, kind: &str, name: &str, why: &str, owner: Option<(&str, &str)>) -> Problem {
        let owner = owner.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
        Problem { owner, ..Problem::named(rank, kind, name, why) }
    }

    #[test]
    fn pods_that_fail_are_one_problem_with_their_workload() {
        let mut problems = Problems::default();
        let owner = Some(("Deployment", "cart"));
        problems.add(problem(Rank::Warning, "Pod", "lonely", "not ready", None));
        problems.add(problem(Rank::Broken, "Pod", "cart-1", "CrashLoopBackOff", owner));
        problems.add(problem(Rank::Broken, "Pod", "cart-2", "CrashLoopBackOff", owner));
        problems.add(problem(Rank::Broken, "Deployment", "cart", "0/2 available", None));
        problems.add(problem(Rank::Broken, "Service", "cart", "none ready", None));
        let told: Vec<(String, String)> =
            problems.sorted().iter().map(|problem| (problem.object(), problem.why.clone())).collect();
        assert_eq!(told.len(), 3);
        assert_eq!(told[0].0, "Deployment shop/cart");
        assert_eq!(told[0].1, "CrashLoopBackOff (0/2 available; 2 pods, pod cart-1)");
        assert_eq!(told[1].0, "Service shop/cart");
        assert_eq!(told[2].0, "Pod shop/lonely");
    }
}
