//! A recording of the real cluster answers like the cluster itself, and holds no secret.
#![allow(clippy::expect_used)]

use std::{fs, path::Path};

use pilothouse::{
    answer::Sealer,
    caller::Caller,
    cluster::{ConnectOptions, Contexts, Reader, connect, record, recorded},
    tools::{Parts, standard},
};
use serde_json::{Value, json, value::to_raw_value};

use crate::support::{kubectl, namespace::Scratch};

const SECRET: &str = "Tr0ub4dor-and-3";

async fn ask(reader: Reader, tool: &str, arguments: &Value) -> String {
    let sealer = Sealer::random().expect("random bytes");
    let parts = Parts::reading(Contexts::one(reader), sealer);
    let arguments = to_raw_value(arguments).expect("JSON");
    let tools = standard(parts);
    tools.get(tool).expect("a tool of ours").call(&Caller::process(), Some(&arguments)).await.text
}

#[tokio::test]
async fn a_recording_answers_like_the_cluster_it_is_of() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let space = Scratch::new("recording");
    let namespace = space.name();
    kubectl::apply(&format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: login, namespace: {namespace} }}
stringData: {{ word: {SECRET} }}
---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: settings, namespace: {namespace} }}
data: {{ color: teal, DB_PASSWORD: {SECRET} }}
---
apiVersion: v1
kind: Service
metadata: {{ name: nowhere, namespace: {namespace} }}
spec: {{ selector: {{ app: nobody }}, ports: [{{ port: 80 }}] }}
"
    ));
    let live = connect(&ConnectOptions::default()).await.expect("KUBECONFIG names a cluster").reader;
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("recording");
    let summary = record::record(&live, &dir, &[]).await.expect("the cluster can be recorded");
    assert!(summary.kinds > 20 && summary.objects > 20, "{summary:?}");
    assert!(text_in(&dir).contains("nowhere"));
    assert!(!text_in(&dir).contains(SECRET), "a secret is in the recording");

    let recorded = recorded::open(&dir).expect("what was recorded can be read").reader;
    let services = json!({ "kind": "services", "namespace": namespace });
    let of_recording = ask(recorded.clone(), "list_resources", &services).await;
    let of_cluster = ask(live.clone(), "list_resources", &services).await;
    assert!(of_recording.contains("selects no pod: app=nobody"), "{of_recording}");
    let (before, after) =
        of_recording.split_once(" (ages as of the recording").expect("it says of when its ages are");
    let after = after.split_once(')').expect("the closing bracket").1;
    assert_eq!(without_ages(&format!("{before}{after}")), without_ages(&of_cluster));
    let settings = json!({ "kind": "cm", "namespace": namespace, "name": "settings" });
    for reader in [recorded, live.clone()] {
        let text = ask(reader, "get_resource", &settings).await;
        assert!(text.contains("color: teal") && text.contains("DB_PASSWORD: <redacted:"), "{text}");
    }
    let again = record::record(&live, &dir, &[]).await.expect_err("a recording never overwrites").to_string();
    assert!(again.contains("is not empty"), "{again}");
}

/// The age column of a young object changes while one looks.
fn without_ages(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let words =
            line.split_whitespace().filter(|word| !word.ends_with('s') || word.parse::<f64>().is_ok());
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect()
}

fn text_in(dir: &Path) -> String {
    let entries = fs::read_dir(dir).expect("the folder can be read");
    entries.fold(String::new(), |text, entry| {
        let path = entry.expect("an entry").path();
        text + &if path.is_dir() { text_in(&path) } else { fs::read_to_string(&path).expect("text") }
    })
}
