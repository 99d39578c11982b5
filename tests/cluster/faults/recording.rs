//! The recording of all cases, with nothing in it that no diagnosis needs: it is part of the repository.

use std::{fs, path::Path};

use pilothouse::cluster::{Reader, record};
use serde_json::Value;

use super::case::{self, Case};

/// What happens to every pod that is well.
const USUAL: [&str; 8] = [
    "Scheduled",
    "Pulled",
    "Created",
    "Started",
    "SuccessfulCreate",
    "SuccessfulDelete",
    "ScalingReplicaSet",
    "NoPods",
];
/// Schemas as long as all else; no tool reads them.
const LEFT_OUT: [&str; 1] = ["customresourcedefinitions.apiextensions.k8s.io"];
/// It is in every namespace, and nobody looks into it.
const ROOT: &str = "kube-root-ca.crt";

/// Records the namespaces of the cases, and what is in none, anew.
pub(super) async fn write(reader: &Reader, cases: &[Case]) {
    let dir = case::folder().join("recording");
    if dir.exists() {
        fs::remove_dir_all(&dir).expect("the old recording can be removed");
    }
    let namespaces: Vec<String> = cases.iter().map(Case::namespace).collect();
    let recorded = record::record(reader, &dir, &namespaces).await.expect("the cluster can be recorded");
    println!("recorded {} objects of {} kinds, {} logs", recorded.objects, recorded.kinds, recorded.logs);
    let resources = dir.join("resources");
    for kind in LEFT_OUT {
        fs::remove_file(resources.join(format!("{kind}.jsonl"))).expect("a kind that is left out");
    }
    slimmed(&resources.join("events.jsonl"), |mut event| {
        let reason = event["reason"].as_str().unwrap_or_default();
        let is_usual = event["type"] == "Normal" && USUAL.contains(&reason);
        // The scheduler's holds the name of the machine.
        event["reportingInstance"] = "".into();
        (!is_usual).then_some(event)
    });
    slimmed(&resources.join("configmaps.jsonl"), |mut map| {
        if map["metadata"]["name"] == ROOT {
            map["data"]["ca.crt"] = "".into();
        }
        Some(map)
    });
}

fn slimmed(file: &Path, keep: impl Fn(Value) -> Option<Value>) {
    let text = fs::read_to_string(file).expect("a recorded kind");
    let objects = text.lines().map(|line| serde_json::from_str(line).expect("an object"));
    let kept: String = objects.filter_map(keep).map(|object| format!("{object}\n")).collect();
    fs::write(file, kept).expect("written");
}
