//! Whether something has happened: what a case's conditions ask of the cluster.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use pilothouse::cluster::{ListRequest, LogRequest, Reader};
use serde_json::Value;

use super::case::Condition;

const BETWEEN: Duration = Duration::from_secs(1);

/// Waits until each condition has held in `namespace`.
///
/// # Errors
/// The first condition that does not within the time, in words.
pub(super) async fn hold(
    reader: &Reader,
    namespace: &str,
    conditions: &[Condition],
    deadline: Instant,
) -> Result<(), String> {
    for condition in conditions {
        for (kind, wanted) in condition {
            while !holds(reader, namespace, kind, wanted).await {
                if Instant::now() > deadline {
                    let words: Vec<String> =
                        wanted.iter().map(|(path, pattern)| format!("{path}: {pattern}")).collect();
                    return Err(format!("{namespace}: no {kind} with {}", words.join(", ")));
                }
                tokio::time::sleep(BETWEEN).await;
            }
        }
    }
    Ok(())
}

/// A read that fails is one that does not hold yet.
async fn holds(reader: &Reader, namespace: &str, kind: &str, wanted: &BTreeMap<String, Value>) -> bool {
    if kind == "log" {
        return says(reader, namespace, wanted).await;
    }
    objects(reader, namespace, kind, None)
        .await
        .iter()
        .any(|object| wanted.iter().all(|(path, pattern)| has(object, path, pattern)))
}

async fn objects(reader: &Reader, namespace: &str, kind: &str, labels: Option<String>) -> Vec<Value> {
    let Ok(kinds) = reader.kinds().await else { return Vec::new() };
    let resource = kinds.resolve(kind).unwrap_or_else(|error| panic!("{kind}: {error:?}"));
    let mut found = Vec::new();
    let namespace = resource.namespaced.then(|| namespace.to_owned());
    let request = ListRequest { namespace, labels, ..ListRequest::default() };
    let keep = |item: &serde_json::value::RawValue| found.extend(serde_json::from_str(item.get()));
    match reader.list(resource, &request, keep).await {
        Ok(_) => found,
        Err(_) => Vec::new(),
    }
}

/// `labels` of the pods, `container`, and the words that a line of theirs `says`.
async fn says(reader: &Reader, namespace: &str, wanted: &BTreeMap<String, Value>) -> bool {
    let text = |key: &str| wanted.get(key).and_then(Value::as_str).map(str::to_owned);
    let words = text("says").expect("a log condition says something");
    for pod in objects(reader, namespace, "pods", text("labels")).await {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let request = LogRequest { container: text("container"), ..LogRequest::default() };
        if reader.log(namespace, name, &request).await.is_ok_and(|log| log.contains(&words)) {
            return true;
        }
    }
    false
}

/// Whether a value at `path`, in which `*` stands for every element, is as the pattern says.
fn has(object: &Value, path: &str, pattern: &Value) -> bool {
    let mut at = vec![object];
    for step in path.split('.') {
        at = match step {
            "*" => at.into_iter().filter_map(Value::as_array).flatten().collect(),
            field => at.into_iter().filter_map(|value| value.get(field)).collect(),
        };
    }
    at.into_iter().any(|value| is(value, pattern))
}

/// Patterns: `~words` that are in it, `>=3`, `older 60s`; else the value itself.
fn is(value: &Value, pattern: &Value) -> bool {
    let Some(pattern) = pattern.as_str() else { return value == pattern };
    if let Some(words) = pattern.strip_prefix('~') {
        return value.as_str().is_some_and(|text| text.contains(words));
    }
    if let Some(least) = pattern.strip_prefix(">=") {
        let least: i64 = least.parse().expect("a number after >=");
        return value.as_i64().is_some_and(|number| number >= least);
    }
    if let Some(seconds) = pattern.strip_prefix("older ").and_then(|age| age.strip_suffix('s')) {
        let seconds: i64 = seconds.parse().expect("seconds after `older`");
        let time = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        return time.is_some_and(|time| Timestamp::now().as_second() - time.as_second() >= seconds);
    }
    value.as_str() == Some(pattern)
}

#[test]
fn patterns_are_of_any_element() {
    let pod = serde_json::json!({ "status": { "containers": [
        { "restarts": 0, "reason": "Completed", "at": "2026-01-01T00:00:00Z" }, { "restarts": 4 }] } });
    let has = |path: &str, pattern: Value| has(&pod, path, &pattern);
    assert!(
        has("status.containers.*.restarts", ">=4".into()) && has("status.containers.*.restarts", 0.into())
    );
    assert!(
        has("status.containers.*.reason", "~Comp".into())
            && has("status.containers.*.at", "older 60s".into())
    );
    assert!(!has("status.containers.*.restarts", ">=5".into()) && !has("status.reason", "Completed".into()));
}
