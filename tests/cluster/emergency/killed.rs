//! All of a script's writes are recorded, though the program is killed in the middle of them, again and again.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{SOON, Stage};
use crate::support::wait::until;

const ROUNDS: u64 = 3;

/// The keys of ConfigMap limits whose writes the records tell of.
fn told(records: &[Value]) -> Vec<String> {
    let captured = records.iter().filter_map(|record| record["status"]["captured"].as_array()).flatten();
    let fields = captured.filter_map(|one| one["fields"].as_array()).flatten();
    let mut paths: Vec<String> =
        fields.filter_map(|field| field["path"].as_str()?.strip_prefix("data.").map(str::to_owned)).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[tokio::test]
async fn no_write_of_a_script_is_lost_to_kills() {
    let emergency = json!({ "coalesce": "10m", "reconcileWithin": "30m", "reviewWithin": "1h" });
    let mut stage = Stage::start("emergency-script", emergency).await;
    let mut written = Vec::new();
    let write = |stage: &Stage, key: String| {
        stage.write("ann", "configmap/limits", &json!({ "data": { key.clone(): "1" } }));
        key
    };
    for round in 0..ROUNDS {
        // With it, and right before it dies: sooner or later after the write.
        written.push(write(&stage, format!("with-{round}-a")));
        written.push(write(&stage, format!("with-{round}-b")));
        tokio::time::sleep(Duration::from_millis(round * 120)).await;
        stage.kill();
        // Without it.
        written.push(write(&stage, format!("without-{round}-a")));
        written.push(write(&stage, format!("without-{round}-b")));
        stage.run().await;
    }
    written.sort();
    until("all of them are recorded", SOON, || async { (told(&stage.records()) == written).then_some(()) })
        .await;
    let records = stage.records();
    assert!(records.iter().all(|record| record["spec"]["unsanctioned"] == true), "{records:?}");
    let by = records[0]["spec"]["requestedBy"].as_str().unwrap_or_default();
    assert!(by.contains("kubectl-edit"), "{by}");
}
