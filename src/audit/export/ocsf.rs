//! A line as OCSF API Activity: category 6 (application activity), class 6003.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{Recorded, Touched};

const CATEGORY: i64 = 6;
const CLASS: i64 = 6003;
const SCHEMA: &str = "1.3.0";

/// OCSF's activities of this class.
#[derive(Clone, Copy)]
enum Activity {
    Create = 1,
    Read = 2,
    Update = 3,
    Other = 99,
}

pub(super) fn activity(recorded: &Recorded, origin: &str) -> Value {
    let Recorded {
        seq,
        at,
        caller,
        proof,
        groups,
        action,
        target,
        arguments_digest,
        call,
        objects,
        verbs,
        outcome,
        decision,
        facts,
    } = recorded;
    let activity = kind(action, verbs) as i64;
    let (status, severity) = if is_bad(decision) { (2, 2) } else { (1, 1) };
    let mut unmapped = Map::new();
    for (name, value) in [
        ("arguments_digest", arguments_digest.clone().map(Value::from)),
        ("groups", groups.clone()),
        ("outcome", outcome.clone()),
        ("proof", proof.clone().map(Value::from)),
        ("verbs", (!verbs.is_empty()).then(|| json!(verbs))),
        ("facts", (!facts.is_empty()).then(|| Value::Object(facts.clone()))),
    ] {
        unmapped.extend(value.map(|value| (name.to_owned(), value)));
    }
    json!({
        "category_uid": CATEGORY,
        "class_uid": CLASS,
        "activity_id": activity,
        "type_uid": CLASS * 100 + activity,
        "severity_id": severity,
        "status_id": status,
        "status_detail": decision,
        "time": at.as_millisecond(),
        "message": format!("{action} {target}: {decision}"),
        "actor": { "user": { "name": caller, "uid": caller } },
        "api": {
            "operation": action,
            "service": { "name": "pilothouse" },
            "request": { "uid": call.clone().unwrap_or_else(|| seq.to_string()) },
        },
        "resources": resources(target, objects),
        "src_endpoint": endpoint(facts.get("peer").and_then(Value::as_str)),
        "metadata": {
            "version": SCHEMA,
            "uid": format!("{origin}#{seq}"),
            "log_name": origin,
            "sequence": seq,
            "product": {
                "name": "pilothouse", "vendor_name": "pilothouse", "version": env!("CARGO_PKG_VERSION"),
            },
        },
        "unmapped": unmapped,
    })
}

/// The record knows who, and from where only of those whom a door turned away.
fn endpoint(peer: Option<&str>) -> Value {
    let mut endpoint = json!({ "name": "unknown", "svc_name": "mcp-client" });
    if let Some(peer) = peer.filter(|peer| peer.parse::<IpAddr>().is_ok()) {
        endpoint["ip"] = json!(peer);
    }
    endpoint
}

/// The target stands for the objects where no object is named.
fn resources(target: &str, objects: &[Touched]) -> Vec<Value> {
    if objects.is_empty() {
        return vec![json!({ "name": target })];
    }
    let one = |object: &Touched| {
        let Touched { kind, namespace, name } = object;
        let mut resource = json!({ "type": kind, "name": name });
        if let Some(namespace) = namespace {
            resource["namespace"] = json!(namespace);
        }
        resource
    };
    objects.iter().map(one).collect()
}

fn kind(action: &str, verbs: &[String]) -> Activity {
    let has = |words: &[&str]| verbs.iter().any(|verb| words.contains(&verb.as_str()));
    if has(&["create", "open"]) {
        return Activity::Create;
    }
    if has(&["update", "patch", "push", "apply", "delete", "close"]) {
        return Activity::Update;
    }
    match action.split_once('/').map_or(action, |(area, _)| area) {
        "change" | "emergency" => Activity::Update,
        "prompts" | "resources" => Activity::Read,
        "tools"
            if verbs.iter().all(|verb| ["get", "list", "watch"].contains(&verb.as_str()))
                && !verbs.is_empty() =>
        {
            Activity::Read
        }
        _ => Activity::Other,
    }
}

/// What was refused or failed; everything else went its way.
fn is_bad(decision: &str) -> bool {
    ["refused", "unknown", "failed", "error"].iter().any(|word| decision.starts_with(word))
}
