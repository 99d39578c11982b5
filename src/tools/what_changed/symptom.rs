//! What is unhealthy now, since when; and whether the pods of one workload run different builds of one image. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::{Condition, Entry, Meta, Sort, Span, Symptom, Thing};
use crate::{
    answer::Rank,
    tools::kinds::{self, Facts, View},
};

/// Put together from the objects whose kinds have a health.
#[derive(Debug, Default)]
pub(super) struct Symptoms {
    found: BTreeMap<Thing, Found>,
    images: BTreeMap<(Thing, String, String), BTreeMap<String, Timestamp>>,
}

#[derive(Debug)]
struct Found {
    /// Of the first thing that turned bad; the creation, where nothing tells.
    since: Option<Timestamp>,
    created: Timestamp,
    why: String,
    rank: Rank,
    pods: usize,
    /// What was judged: the workload, or pods of it.
    objects: BTreeSet<Thing>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    metadata: Meta,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Vec<Condition>,
    container_statuses: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    #[serde(rename = "imageID")]
    image_id: String,
    state: State,
    last_state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    terminated: Option<Ended>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ended {
    finished_at: Option<Timestamp>,
}

/// Kinds whose health says that something does not work.
pub(super) const JUDGED: [&str; 8] =
    ["Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Node", "PersistentVolumeClaim"];

impl Symptoms {
    /// One object of a kind of [`JUDGED`]; says whose it is.
    pub(super) fn add(&mut self, group: &str, kind: &str, object: &RawValue, facts: &Facts) -> Option<Thing> {
        let Seen { metadata, status } = serde_json::from_str(object.get()).ok()?;
        let workload = workload(kind, object, &metadata);
        self.judge(&workload, (group, kind), object, (&metadata, &status), facts);
        Some(workload)
    }

    /// Each unhealthy workload, and those of it and its pods that are unhealthy now.
    pub(super) fn things(&self) -> impl Iterator<Item = (&Thing, &BTreeSet<Thing>)> {
        self.found.iter().map(|(workload, found)| (workload, &found.objects))
    }

    fn judge(
        &mut self,
        workload: &Thing,
        (group, kind): (&str, &str),
        object: &RawValue,
        (metadata, status): (&Meta, &Status),
        facts: &Facts,
    ) {
        if kind == "Pod" {
            self.add_images(workload, metadata, status);
        }
        let Some(line) = View::built_in(group, kind).and_then(|view| view.line(object, facts).ok()) else {
            return;
        };
        if line.health.rank > Rank::Warning {
            return;
        }
        let Some(created) = metadata.creation_timestamp else { return };
        let since = since(status);
        let rank = line.health.rank;
        let found = || Found {
            since,
            created,
            why: line.health.why.clone(),
            rank,
            pods: 0,
            objects: BTreeSet::new(),
        };
        let known = self.found.entry(workload.clone()).or_insert_with(found);
        known.objects.insert(metadata.thing(kind));
        known.since = earlier(known.since, since);
        known.created = known.created.min(created);
        // What a pod says is nearer to the cause than what its workload says.
        if kind == "Pod" {
            if known.pods == 0 || rank < known.rank {
                known.why = line.health.why;
            }
            known.pods += 1;
        }
        known.rank = known.rank.min(rank);
    }

    fn add_images(&mut self, workload: &Thing, metadata: &Meta, status: &Status) {
        let Some(created) = metadata.creation_timestamp else { return };
        for Container { name, image, image_id, .. } in &status.container_statuses {
            let digest = image_id.rsplit_once('@').map_or(image_id.as_str(), |(_, digest)| digest);
            if digest.is_empty() || image.contains('@') {
                continue;
            }
            let key = (workload.clone(), name.clone(), image.clone());
            let first = self.images.entry(key).or_default().entry(digest.to_owned()).or_insert(created);
            *first = (*first).min(created);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let Self { found, images } = other;
        for (thing, new) in found {
            match self.found.get_mut(&thing) {
                None => drop(self.found.insert(thing, new)),
                Some(known) => {
                    known.since = earlier(known.since, new.since);
                    known.created = known.created.min(new.created);
                    known.rank = known.rank.min(new.rank);
                    known.objects.extend(new.objects);
                    if new.pods > 0 {
                        known.why = new.why;
                        known.pods = new.pods;
                    }
                }
            }
        }
        self.images.extend(images);
    }

    /// The worst first. `first_warning` says when the cluster first complained about something.
    pub(super) fn symptoms(self, first_warning: &BTreeMap<Thing, Timestamp>) -> Vec<Symptom> {
        let mut found: Vec<(Rank, Symptom)> = self
            .found
            .into_iter()
            .map(|(thing, Found { since, created, why, rank, pods, objects: _ })| {
                let since = earlier(since, first_warning.get(&thing).copied()).unwrap_or(created);
                let pods = if pods > 1 { format!(" ({pods} pods)") } else { String::new() };
                (rank, Symptom { thing, since, why: format!("{why}{pods}") })
            })
            .collect();
        found.sort_by(|a, b| (a.0, a.1.since, &a.1.thing).cmp(&(b.0, b.1.since, &b.1.thing)));
        found.into_iter().map(|(_, symptom)| symptom).collect()
    }

    /// Names of images that came to mean another build.
    pub(super) fn images(&self, span: Span) -> Vec<Entry> {
        let mut entries = Vec::new();
        for ((thing, container, image), digests) in &self.images {
            let mut by_age: Vec<(&Timestamp, &String)> =
                digests.iter().map(|(digest, at)| (at, digest)).collect();
            by_age.sort();
            let [.., (_, before), (at, now)] = by_age.as_slice() else { continue };
            if span.has(**at) {
                let (now, before) = (short(now), short(before));
                entries.push(Entry {
                    at: **at,
                    thing: thing.clone(),
                    sort: Sort::Image,
                    by: String::new(),
                    what: format!(
                        "newer pods run another build of {image} in container {container}: {now}, older ones {before}"
                    ),
                });
            }
        }
        entries
    }
}

fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

/// Who answers for it: a pod's workload, otherwise itself.
fn workload(kind: &str, object: &RawValue, metadata: &Meta) -> Thing {
    #[derive(Deserialize)]
    struct Owned {
        metadata: kinds::Meta,
    }
    let owner = (kind == "Pod")
        .then(|| serde_json::from_str::<Owned>(object.get()).ok()?.metadata.workload())
        .flatten();
    match owner {
        Some((kind, name)) => Thing::new(&kind, &metadata.namespace, &name),
        None => metadata.thing(kind),
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// When a condition turned bad; when a container ended that is well again.
fn since(status: &Status) -> Option<Timestamp> {
    let bad = |condition: &&Condition| {
        let Condition { kind, status, .. } = condition;
        match kind.as_str() {
            "Ready" | "ContainersReady" | "PodScheduled" | "Available" | "Progressing" => status == "False",
            "ReplicaFailure" | "Failed" | "FailureTarget" => status == "True",
            kind => kind.ends_with("Pressure") && status == "True",
        }
    };
    let turned =
        status.conditions.iter().filter(bad).filter_map(|condition| condition.last_transition_time).min();
    let ended = status
        .container_statuses
        .iter()
        .flat_map(|container| [&container.state, &container.last_state])
        .filter_map(|state| state.terminated.as_ref()?.finished_at)
        .min();
    earlier(turned, ended)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use serde_json::{Value, json, value::to_raw_value};

    use super::{Facts, Span, Symptoms, Thing};

    fn pod(name: &str, digest: &str, ready: bool) -> Value {
        let state = if ready {
            json!({ "running": {} })
        } else {
            json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } })
        };
        json!({ "metadata": { "namespace": "shop", "name": name, "creationTimestamp": "2026-01-01T10:30:00Z",
            "labels": { "pod-template-hash": "abc" },
            "ownerReferences": [{ "kind": "ReplicaSet", "name": "web-abc", "controller": true }] },
            "spec": { "containers": [{ "name": "web" }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" },
                "lastTransitionTime": "2026-01-01T10:31:00Z" }],
              "containerStatuses": [{ "name": "web", "image": "shop:latest", "imageID": format!("shop@{digest}"),
                "ready": ready, "restartCount": 0, "state": state }] } })
    }

    #[test]
    fn a_workload_is_unhealthy_since_its_first_complaint() {
        let facts = Facts::at("2026-01-01T10:40:00Z".parse().unwrap());
        let mut symptoms = Symptoms::default();
        for pod in [
            pod("web-abc-1", "sha256:1111", false),
            pod("web-abc-2", "sha256:1111", false),
            pod("web-abc-3", "sha256:2222", true),
        ] {
            symptoms.add("", "Pod", &to_raw_value(&pod).unwrap(), &facts);
        }
        let span = Span { from: "2026-01-01T10:00:00Z".parse().unwrap(), to: facts.now };
        let images = symptoms.images(span);
        assert!(images[0].what.contains("another build of shop:latest"), "{images:?}");
        let web = Thing::new("Deployment", "shop", "web");
        let warned = BTreeMap::from([(web.clone(), "2026-01-01T10:30:20Z".parse().unwrap())]);
        let symptoms = symptoms.symptoms(&warned);
        assert_eq!(symptoms.len(), 1);
        assert_eq!(symptoms[0].thing, web);
        assert_eq!(symptoms[0].since.to_string(), "2026-01-01T10:30:20Z");
        assert!(
            symptoms[0].why.contains("CrashLoopBackOff") && symptoms[0].why.ends_with("(2 pods)"),
            "{symptoms:?}"
        );
    }
}
