//! Templates of pods, as ReplicaSets and ControllerRevisions keep them, and what differs between them. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::entry::{Entry, Meta, Sort, Span, Thing};
use crate::tools::difference::{Difference, difference};

/// One template.
#[derive(Debug)]
struct Revision {
    number: i64,
    /// When it was made, or made current again.
    at: Option<Timestamp>,
    /// Made in an earlier rollout, and used again.
    again: bool,
    template: Value,
}

/// Of each workload the revisions of the span and what came before them.
#[derive(Debug, Default)]
pub(super) struct Revisions(BTreeMap<Thing, Vec<Revision>>);

/// Of a workload's revisions from before the span this many may still be compared with.
const EARLIER: usize = 2;
const NUMBER: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

impl Revisions {
    /// A ReplicaSet or ControllerRevision; others are left out.
    pub(super) fn add(&mut self, kind: &str, object: &RawValue, span: Span) {
        #[derive(Deserialize)]
        struct Seen {
            metadata: Meta,
            #[serde(default)]
            spec: Templated,
            #[serde(default)]
            data: Patch,
            revision: Option<i64>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Patch {
            spec: Templated,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Templated {
            template: Value,
        }
        let Ok(Seen { metadata, spec, data, revision }) = serde_json::from_str(object.get()) else { return };
        let Some(owner) = metadata.controller() else { return };
        let (template, number) = match kind {
            "ReplicaSet" => {
                (spec.template, metadata.annotations.get(NUMBER).and_then(|text| text.parse().ok()))
            }
            _ => (data.spec.template, revision),
        };
        let Some(number) = number else { return };
        // Written last when it became current again; controllers write nothing else to an old one but its size.
        let written = metadata
            .managed_fields
            .iter()
            .filter(|managed| managed.subresource.is_empty())
            .filter_map(|managed| managed.time)
            .max();
        let again = metadata.annotations.contains_key(HISTORY);
        let at = if again { written.or(metadata.creation_timestamp) } else { metadata.creation_timestamp };
        let thing = Thing::new(&owner.kind, &metadata.namespace, &owner.name);
        let known = self.0.entry(thing).or_default();
        known.push(Revision { number, at, again, template: comparable(template) });
        // No more is held than can be shown.
        known.sort_by_key(|revision| revision.number);
        let is_old = |revision: &Revision| !revision.at.is_some_and(|at| span.has(at));
        let old = known.iter().filter(|revision| is_old(revision)).count();
        if old > EARLIER
            && let Some(oldest) = known.iter().position(is_old)
        {
            known.remove(oldest);
        }
    }

    /// One entry a rollout of the span.
    pub(super) fn entries(&self, span: Span) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (thing, revisions) in &self.0 {
            let last = revisions.last().map(|revision| revision.number);
            for (at, revision) in revisions.iter().enumerate() {
                let Revision { number, at: Some(made), again, template } = revision else { continue };
                // Only the current one can have become current again in the span.
                if !span.has(*made) || (*again && Some(*number) != last) {
                    continue;
                }
                let before = at.checked_sub(1).map(|before| &revisions[before]);
                let words = match (before, *number) {
                    (Some(before), _) => said(&difference(&before.template, template)),
                    // Made with the workload.
                    (None, 1) => continue,
                    (None, _) => "the revision before it is not kept".to_owned(),
                };
                let how = if *again { "went back to an earlier template as" } else { "rolled out" };
                let from = before.map_or_else(String::new, |before| format!(" (before: {})", before.number));
                entries.push(Entry {
                    at: *made,
                    thing: thing.clone(),
                    sort: Sort::RolledOut,
                    by: String::new(),
                    what: format!("{how} revision {number}{from}: {words}"),
                });
            }
        }
        entries
    }
}

/// Without what controllers add to tell templates apart.
fn comparable(mut template: Value) -> Value {
    if let Some(template) = template.as_object_mut() {
        template.shift_remove("$patch");
    }
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.shift_remove("pod-template-hash");
    }
    if let Some(metadata) = template["metadata"].as_object_mut() {
        metadata.shift_remove("creationTimestamp");
    }
    template
}

/// Differences that are told; the rest is counted.
const TOLD: usize = 8;

fn said(differences: &[Difference]) -> String {
    let restarts = |difference: &&Difference| difference.path.contains(RESTARTED);
    if !differences.is_empty() && differences.iter().all(is_restart) {
        return "restarted (kubectl rollout restart), nothing else".to_owned();
    }
    let others: Vec<&Difference> =
        differences.iter().filter(|difference| !restarts(difference) && !is_restart(difference)).collect();
    if others.is_empty() {
        return "the same template".to_owned();
    }
    let told: Vec<String> =
        others.iter().take(TOLD).map(|difference| difference.words().replacen("spec.", "", 1)).collect();
    let more = others.len().saturating_sub(TOLD);
    let more = if more > 0 { format!("; and {more} more: rollout_history") } else { String::new() };
    format!("{}{more}", told.join("; "))
}

/// Also when it is the first annotation.
fn is_restart(difference: &Difference) -> bool {
    let Difference { path, before, after } = difference;
    let only = |value: &Option<Value>| {
        value
            .as_ref()
            .and_then(Value::as_object)
            .is_some_and(|annotations| annotations.keys().all(|key| key == RESTARTED))
    };
    path.contains(RESTARTED) || (path == "metadata.annotations" && (only(before) || only(after)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json, value::to_raw_value};

    use super::{Revisions, Span};

    fn span() -> Span {
        Span { from: "2026-01-01T10:00:00Z".parse().unwrap(), to: "2026-01-01T11:00:00Z".parse().unwrap() }
    }

    fn replica_set(number: &str, created: &str, template: Value, history: Option<&str>) -> Value {
        let mut annotations = json!({ "deployment.kubernetes.io/revision": number });
        if let Some(history) = history {
            annotations["deployment.kubernetes.io/revision-history"] = history.into();
        }
        json!({ "metadata": { "namespace": "shop", "name": format!("web-{number}"), "creationTimestamp": created,
            "annotations": annotations, "ownerReferences": [{ "kind": "Deployment", "name": "web", "controller": true }],
            "managedFields": [{ "manager": "kube-controller-manager", "time": "2026-01-01T10:40:00Z" }] },
            "spec": { "template": template } })
    }

    fn image(image: &str) -> Value {
        json!({ "metadata": { "labels": { "app": "web", "pod-template-hash": image } },
                "spec": { "containers": [{ "name": "web", "image": image }] } })
    }

    fn told(objects: &[(&str, Value)]) -> Vec<String> {
        let mut revisions = Revisions::default();
        for (kind, object) in objects {
            revisions.add(kind, &to_raw_value(object).unwrap(), span());
        }
        revisions.entries(span()).iter().map(|entry| format!("{} {}", entry.at, entry.what)).collect()
    }

    #[test]
    fn a_rollout_is_told_with_what_differs() {
        let told = told(&[
            ("ReplicaSet", replica_set("1", "2026-01-01T05:00:00Z", image("shop:0"), None)),
            ("ReplicaSet", replica_set("3", "2026-01-01T10:30:00Z", image("shop:2"), None)),
            ("ReplicaSet", replica_set("2", "2026-01-01T06:00:00Z", image("shop:1"), None)),
        ]);
        let expected = "2026-01-01T10:30:00Z rolled out revision 3 (before: 2): containers[name=web].image: shop:1 -> shop:2";
        assert_eq!(told, [expected]);
    }

    #[test]
    fn going_back_is_told_as_such() {
        let told = told(&[
            ("ReplicaSet", replica_set("3", "2026-01-01T05:00:00Z", image("shop:1"), Some("1"))),
            ("ReplicaSet", replica_set("2", "2026-01-01T06:00:00Z", image("shop:2"), None)),
        ]);
        assert_eq!(
            told,
            ["2026-01-01T10:40:00Z went back to an earlier template as revision 3 (before: 2): \
              containers[name=web].image: shop:2 -> shop:1"]
        );
    }

    #[test]
    fn a_restart_is_a_restart_and_a_first_revision_is_a_creation() {
        let mut restarted = image("shop:1");
        restarted["metadata"]["annotations"] = json!({ "kubectl.kubernetes.io/restartedAt": "now" });
        let revision = |number: i64, created: &str, template: Value| {
            json!({ "metadata": { "namespace": "shop", "name": format!("db-{number}"), "creationTimestamp": created,
                "ownerReferences": [{ "kind": "StatefulSet", "name": "db", "controller": true }] },
                "revision": number, "data": { "spec": { "template": template } } })
        };
        let told = told(&[
            ("ControllerRevision", revision(1, "2026-01-01T10:10:00Z", image("shop:1"))),
            ("ControllerRevision", revision(2, "2026-01-01T10:30:00Z", restarted)),
        ]);
        assert_eq!(
            told,
            [
                "2026-01-01T10:30:00Z rolled out revision 2 (before: 1): restarted (kubectl rollout restart), nothing else"
            ]
        );
    }
}
