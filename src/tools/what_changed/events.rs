//! What the cluster reported: scalings and node changes as entries, warnings as the first complaint of each kind. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::{Entry, Sort, Span, Thing};
use crate::tools::list_events::stem;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    reason: String,
    message: String,
    #[serde(alias = "regarding")]
    involved_object: Object,
    count: Option<u32>,
    first_timestamp: Option<Timestamp>,
    last_timestamp: Option<Timestamp>,
    event_time: Option<Timestamp>,
    series: Option<Series>,
    source: Source,
    reporting_component: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    kind: String,
    namespace: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Series {
    count: u32,
    last_observed_time: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Source {
    component: String,
}

/// Warnings that say the same about one workload.
#[derive(Debug)]
struct Warning {
    first: Timestamp,
    count: u32,
    message: String,
}

/// A scaling that was reported for a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scaling {
    pub(super) at: Timestamp,
    /// `from 1 to 3`
    pub(super) words: String,
}

/// Events, taken one by one.
#[derive(Debug, Default)]
pub(super) struct Events {
    entries: Vec<Entry>,
    warnings: BTreeMap<(Thing, String), Warning>,
    /// The first warning of each object.
    first: BTreeMap<Thing, Timestamp>,
    pub(super) scalings: BTreeMap<Thing, Vec<Scaling>>,
    pub(super) oldest: Option<Timestamp>,
}

/// Normal events that tell of a change and not of routine.
const CHANGES: [&str; 9] = [
    "SuccessfulRescale",
    "NodeNotReady",
    "NodeReady",
    "Rebooted",
    "TaintManagerEviction",
    "NodeSchedulable",
    "NodeNotSchedulable",
    "RemovingNode",
    "Drain",
];

impl Events {
    pub(super) fn add(&mut self, event: &RawValue, span: Span) {
        let Ok(event) = serde_json::from_str::<Event>(event.get()) else { return };
        let series = event.series.as_ref();
        let last =
            series.and_then(|series| series.last_observed_time).or(event.last_timestamp).or(event.event_time);
        let first = event.first_timestamp.or(event.event_time).or(last);
        let (Some(first), Some(last)) = (first, last) else { return };
        self.oldest = Some(self.oldest.map_or(first, |oldest| oldest.min(first)));
        if !span.has(last) {
            return;
        }
        let Object { kind, namespace, name } = &event.involved_object;
        let thing = Thing::new(kind, namespace, name);
        if event.reason == "ScalingReplicaSet" {
            if let Some(words) = scaling(&event.message) {
                self.scalings.entry(thing).or_default().push(Scaling { at: last, words });
            }
            return;
        }
        if event.kind != "Normal" {
            let earliest = self.first.entry(thing.clone()).or_insert(first);
            *earliest = first.min(*earliest);
            let thing = Thing { name: stem(kind, name).to_owned(), ..thing };
            let count = series.map(|series| series.count).or(event.count).unwrap_or(1).max(1);
            let known = self.warnings.entry((thing, event.reason.clone())).or_insert_with(|| Warning {
                first,
                count: 0,
                message: event.message.clone(),
            });
            known.first = known.first.min(first);
            known.count += count;
            return;
        }
        if CHANGES.contains(&event.reason.as_str()) {
            let by = if event.source.component.is_empty() {
                event.reporting_component
            } else {
                event.source.component
            };
            let what = format!("{}: {}", event.reason, event.message);
            let sort = if event.reason == "SuccessfulRescale" { Sort::Scaled } else { Sort::Condition };
            self.entries.push(Entry { at: last, thing, sort, by, what });
        }
    }

    /// When the cluster first complained of a workload that is unhealthy, or of a pod of it that still is: what a
    /// pod has overcome is not the beginning of this.
    pub(super) fn first_warnings<'a>(
        &self,
        unhealthy: impl Iterator<Item = (&'a Thing, &'a BTreeSet<Thing>)>,
    ) -> BTreeMap<Thing, Timestamp> {
        let earliest = |objects: &BTreeSet<Thing>| {
            objects.iter().filter_map(|object| self.first.get(object)).min().copied()
        };
        unhealthy.filter_map(|(workload, objects)| Some((workload.clone(), earliest(objects)?))).collect()
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let warnings = self.warnings.iter().map(|((thing, reason), Warning { first, count, message })| {
            // The count at the end: it grows from page to page, and what stands before it names the row.
            let times = if *count > 1 { format!(" (x{count})") } else { String::new() };
            // Under the workload's name: its pods come and go.
            let thing = thing.clone();
            let what = format!("warning {reason}: {message}{times}");
            Entry { at: *first, thing, sort: Sort::Warning, by: String::new(), what }
        });
        self.entries.iter().cloned().chain(warnings).collect()
    }
}

/// `from 1 to 3` out of `Scaled up replica set web-6c8d9f7b5c from 1 to 3`, however the version says it.
fn scaling(message: &str) -> Option<String> {
    let words: Vec<&str> = message.split_whitespace().collect();
    let after = |word: &str| {
        let at = words.iter().position(|known| *known == word)?;
        words.get(at + 1)?.parse::<u32>().ok()
    };
    let to = after("to")?;
    Some(after("from").map_or_else(|| format!("to {to}"), |from| format!("from {from} to {to}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json, value::to_raw_value};

    use super::{Events, Span, Thing};

    fn event(kind: &str, reason: &str, object: (&str, &str), first: &str, message: &str) -> Value {
        json!({ "type": kind, "reason": reason, "message": message, "count": 3,
            "involvedObject": { "kind": object.0, "namespace": "shop", "name": object.1 },
            "firstTimestamp": first, "lastTimestamp": "2026-01-01T10:50:00Z" })
    }

    #[test]
    fn complaints_of_pods_are_their_workloads() {
        let span = Span {
            from: "2026-01-01T10:00:00Z".parse().unwrap(),
            to: "2026-01-01T11:00:00Z".parse().unwrap(),
        };
        let mut events = Events::default();
        for event in [
            event("Warning", "BackOff", ("Pod", "web-6c8d9f7b5c-x2x4z"), "2026-01-01T10:31:00Z", "Back-off"),
            event("Warning", "BackOff", ("Pod", "web-6c8d9f7b5c-bb24z"), "2026-01-01T10:30:00Z", "Back-off"),
            event("Normal", "Pulled", ("Pod", "web-6c8d9f7b5c-bb24z"), "2026-01-01T10:30:00Z", "pulled"),
            event(
                "Normal",
                "ScalingReplicaSet",
                ("Deployment", "web"),
                "2026-01-01T10:30:00Z",
                "Scaled up replica set web-6c8d9f7b5c from 1 to 3",
            ),
            event(
                "Normal",
                "SuccessfulRescale",
                ("HorizontalPodAutoscaler", "web"),
                "2026-01-01T10:30:00Z",
                "New size: 3; reason: cpu",
            ),
        ] {
            events.add(&to_raw_value(&event).unwrap(), span);
        }
        let entries = events.entries();
        let told: Vec<String> =
            entries.iter().map(|entry| format!("{} {}", entry.thing.words(false), entry.what)).collect();
        assert_eq!(
            told,
            [
                "HorizontalPodAutoscaler web SuccessfulRescale: New size: 3; reason: cpu",
                "Pod web warning BackOff: Back-off (x6)"
            ]
        );
        let web = Thing::new("Deployment", "shop", "web");
        assert_eq!(events.scalings[&web][0].words, "from 1 to 3");
        let since = |pods: &[&str]| {
            let unhealthy = pods.iter().map(|pod| Thing::new("Pod", "shop", pod)).collect();
            events.first_warnings([(&web, &unhealthy)].into_iter())[&web].to_string()
        };
        assert_eq!(since(&["web-6c8d9f7b5c-x2x4z", "web-6c8d9f7b5c-bb24z"]), "2026-01-01T10:30:00Z");
        assert_eq!(since(&["web-6c8d9f7b5c-x2x4z"]), "2026-01-01T10:31:00Z");
    }
}
