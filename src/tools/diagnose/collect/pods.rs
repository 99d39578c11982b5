//! Pods as they come: all unwell ones up to a bound, and of the well ones enough to know what there is.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{Source, trim};
use crate::tools::diagnose::{
    look::controller,
    picture::PodsSeen,
    pods::{is_unwell, phase},
};

/// Unwell pods of one owner: they say the same.
const UNWELL_OF_OWNER: usize = 20;
const UNWELL: usize = 300;
const WELL_OF_OWNER: usize = 2;
const WELL: usize = 1_000;

pub(super) async fn read(source: &Source<'_>, now: Timestamp) -> (Vec<Pod>, PodsSeen) {
    let mut crowd = Crowd::default();
    source.each("", "Pod", |pod| crowd.add(pod, now)).await;
    let Crowd { kept, seen, of_owner: _, unwell: _ } = crowd;
    (kept, seen)
}

#[derive(Default)]
struct Crowd {
    kept: Vec<Pod>,
    seen: PodsSeen,
    unwell: usize,
    /// How many are kept, unwell and well.
    of_owner: HashMap<String, (usize, usize)>,
}

impl Crowd {
    fn add(&mut self, mut pod: Pod, now: Timestamp) {
        let Self { kept, seen, unwell, of_owner } = self;
        seen.all += 1;
        let (unwell_of, well_of) = of_owner.entry(family(&pod)).or_default();
        if is_unwell(&pod, now) {
            if *unwell_of >= UNWELL_OF_OWNER || *unwell >= UNWELL {
                seen.unwell_left_out += 1;
                return;
            }
            *unwell_of += 1;
            *unwell += 1;
        } else {
            if *well_of >= WELL_OF_OWNER || kept.len() - *unwell >= WELL {
                return;
            }
            *well_of += 1;
            trim::well_pod(&mut pod);
        }
        trim::metadata(&mut pod.metadata);
        kept.push(trim::close(&pod));
    }
}

/// Pods of one maker are alike; so are those without one that have the same labels. Finished ones are not like those
/// that run.
fn family(pod: &Pod) -> String {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let is_done = phase(pod) == "Succeeded";
    match controller(&pod.metadata) {
        Some(maker) => format!("{namespace}/{}/{is_done}", maker.uid),
        None => format!("{namespace}/{:?}/{is_done}", pod.metadata.labels),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{Crowd, UNWELL_OF_OWNER};

    #[test]
    fn of_many_alike_a_few_are_kept_and_all_are_counted() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let mut crowd = Crowd::default();
        for at in 0..5_000 {
            let running = json!({ "name": "c", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } });
            let status = if at % 2 == 0 {
                json!({ "phase": "Failed" })
            } else {
                json!({ "phase": "Running", "containerStatuses": [running],
                    "conditions": [{ "type": "Ready", "status": "True" }] })
            };
            let pod = json!({
                "metadata": { "name": format!("p{at}"), "namespace": "shop",
                    "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u",
                        "controller": true }] },
                "spec": { "containers": [{ "name": "c" }] },
                "status": status,
            });
            crowd.add(serde_json::from_value(pod).unwrap(), now);
        }
        assert_eq!(crowd.kept.len(), UNWELL_OF_OWNER + 2);
        assert_eq!(crowd.seen.all, 5_000);
        assert_eq!(crowd.seen.unwell_left_out, 2_500 - UNWELL_OF_OWNER);
    }
}
