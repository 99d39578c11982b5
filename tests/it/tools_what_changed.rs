//! The timeline and the use of resources, on recorded clusters. No cluster is needed.

use std::{fs, path::Path};

use pilothouse::{
    answer::{Answer, Budget},
    caller::Caller,
};
use serde_json::{Value, json};

use crate::recorded_shop::{call, folder as shop, tools_on};

async fn ask(dir: &Path, tool: &str, arguments: Value) -> Answer {
    call(&tools_on(dir), &Caller::process(), tool, arguments).await
}

/// The broken shop with other objects of some kinds: file names and their lines.
fn shop_with(files: &[(&str, Vec<Value>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("resources")).unwrap();
    for file in ["discovery.json", "snapshot.json"] {
        fs::copy(shop().join(file), folder.path().join(file)).unwrap();
    }
    for file in fs::read_dir(shop().join("resources")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join("resources").join(file.file_name())).unwrap();
    }
    for (file, objects) in files {
        let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
        fs::write(folder.path().join("resources").join(file), lines.join("\n") + "\n").unwrap();
    }
    folder
}

#[tokio::test]
async fn a_recorded_shop_tells_what_is_unhealthy_and_what_cannot_be_known() {
    let text = ask(&shop(), "what_changed", json!({ "namespace": "shop", "window": "1d" })).await.text;
    assert!(text.starts_with("Unhealthy now:\n"), "{text}");
    assert!(text.contains("Deployment cart since ") && text.contains("CrashLoopBackOff"), "{text}");
    assert!(text.contains("BEFORE IT BECAME UNHEALTHY"), "{text}");
    assert!(text.contains("Not known: ") && text.contains("a recording does not hold it"), "{text}");
    assert!(text.contains("events and scalings older than about an hour"), "{text}");
    assert!(Budget::estimate(&text) <= 8_000);
}

#[tokio::test]
async fn writes_are_told_with_who_wrote_and_what() {
    let managed = |manager: &str, time: &str, fields: Value| json!({ "manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields });
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": "shop", "name": "prices",
        "creationTimestamp": "2026-11-01T00:00:00Z", "resourceVersion": "5", "uid": "u",
        "managedFields": [
            managed("anna\u{202e}\u{7}", "2026-11-21T12:40:00Z", json!({ "f:data": { "f:VAT": {}, "f:DB_PASSWORD": {} } })),
            managed("helm", "2026-11-20T12:40:00Z", json!({ "f:data": { "f:OLD": {} } }))] },
        "data": { "VAT": "19", "DB_PASSWORD": "hunter22" } });
    let folder = shop_with(&[("configmaps.jsonl", vec![map])]);
    let text = ask(folder.path(), "what_changed", json!({ "namespace": "shop", "window": "30m" })).await.text;
    let row = text.lines().find(|line| line.contains("ConfigMap prices")).unwrap_or_else(|| panic!("{text}"));
    assert!(row.starts_with("2026-11-21T12:40:00Z  6m39s"), "{row}");
    assert!(row.contains("changed one or more of data.VAT, data.DB_PASSWORD"), "{row}");
    assert!(row.contains("  anna  "), "{row}");
    assert!(!text.contains("data.OLD") && !text.contains("hunter22"), "{text}");
}

#[tokio::test]
async fn wrong_questions_are_told_what_is_right() {
    for (arguments, told) in [
        (json!({ "namespace": "shop", "window": "soon" }), "write it as 30m, 6h, 2d or 1h30m"),
        (json!({ "namespace": "shop", "kind": "deploy" }), "give `kind` and `name` together"),
        (json!({ "namespace": "shop", "kind": "deploy", "name": "crt" }), "nearest: cart"),
        (json!({ "namespace": "shopp" }), "nearest: shop"),
        (json!({ "namespace": "shop", "cursor": "abc" }), "not one this server gave out"),
    ] {
        let answer = ask(&shop(), "what_changed", arguments).await;
        assert!(answer.is_error && answer.text.contains(told), "{}", answer.text);
        assert_eq!(answer.text.lines().count(), 1, "{}", answer.text);
    }
}

#[tokio::test]
async fn without_a_metrics_api_top_says_what_to_install() {
    let answer = ask(&shop(), "top", json!({})).await;
    assert!(answer.is_error, "{}", answer.text);
    assert_eq!(
        answer.text,
        "this cluster has no metrics API (metrics.k8s.io): install metrics-server, or ask query_metrics where it is listed"
    );
    let both = ask(&shop(), "top", json!({ "of": "nodes", "namespace": "shop" })).await;
    assert!(both.is_error && both.text.contains("of=pods"), "{}", both.text);
}
