//! What of an object counts as written by somebody, in one form that does not depend on who sent it: an API server
//! stamps, fills in and reorders.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

/// Beside these, metadata says what the API server knows of an object, not what somebody wanted.
const METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];
/// Kept by controllers and clients for themselves.
const NOTES: [&str; 3] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "control-plane.alpha.kubernetes.io/leader",
];
/// Longer texts are kept by their length and digest: bytes.
const LONGEST_TEXT: usize = 1_024;

/// The object without kind, status and what the API server adds; keys sorted, empty ones left out.
pub(super) fn content(object: &Value) -> Value {
    let Value::Object(fields) = object else { return Value::Null };
    let mut kept = Map::new();
    for (key, field) in fields {
        match key.as_str() {
            "apiVersion" | "kind" | "status" | "metadata" => {}
            _ => insert(&mut kept, key, plain(field)),
        }
    }
    insert(&mut kept, "metadata", metadata(&object["metadata"]));
    kept.sort_keys();
    Value::Object(kept)
}

/// There even when it is empty: a change below it is one below it.
fn metadata(metadata: &Value) -> Option<Value> {
    let mut kept = Map::new();
    for key in METADATA {
        let field = match &metadata[key] {
            Value::Object(notes) if key == "annotations" => {
                let notes = notes.iter().filter(|(key, _)| !NOTES.contains(&key.as_str()));
                plain(&Value::Object(notes.map(|(key, note)| (key.clone(), note.clone())).collect()))
            }
            field => plain(field),
        };
        insert(&mut kept, key, field.filter(|field| *field != json!({}) && *field != json!([])));
    }
    kept.sort_keys();
    Some(Value::Object(kept))
}

fn insert(fields: &mut Map<String, Value>, key: &str, field: Option<Value>) {
    if let Some(field) = field {
        fields.insert(key.to_owned(), field);
    }
}

/// `None` for `null`, which an API server sends for what is not there.
fn plain(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) if text.len() > LONGEST_TEXT => Value::String(long(text)),
        Value::Array(items) => Value::Array(items.iter().filter_map(plain).collect()),
        Value::Object(fields) => {
            let mut kept = Map::new();
            fields.iter().for_each(|(key, field)| insert(&mut kept, key, plain(field)));
            kept.sort_keys();
            Value::Object(kept)
        }
        value => value.clone(),
    })
}

fn long(text: &str) -> String {
    format!("<{} bytes, sha256 {}>", text.len(), hex::encode(&digest(&SHA256, text.as_bytes()).as_ref()[..8]))
}

/// Of what [`content`] gave: equal for equal contents, and nothing can be read from it.
pub(super) fn fingerprint(content: &str) -> String {
    hex::encode(&digest(&SHA256, content.as_bytes()).as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::content;

    #[test]
    fn what_the_api_server_adds_does_not_count() {
        let sent = json!({
            "kind": "Deployment", "apiVersion": "apps/v1",
            "spec": { "replicas": 2, "template": { "metadata": { "creationTimestamp": null, "labels": {"b": "1", "a": "2"} } } },
            "metadata": { "name": "web", "labels": {"x": "y"} } });
        let stored = json!({
            "metadata": { "annotations": { "deployment.kubernetes.io/revision": "3" },
                "name": "web", "uid": "u", "resourceVersion": "7", "generation": 2, "managedFields": [{}], "labels": {"x": "y"} },
            "spec": { "template": { "metadata": { "labels": {"a": "2", "b": "1"} } }, "replicas": 2 },
            "status": { "replicas": 1 } });
        assert_eq!(content(&sent).to_string(), content(&stored).to_string());
        assert_eq!(content(&stored)["metadata"], json!({ "labels": {"x": "y"} }));
    }

    #[test]
    fn long_texts_are_kept_short_and_still_differ() {
        let of = |letter: &str| content(&json!({ "data": { "page": letter.repeat(5_000) } })).to_string();
        assert!(of("a").len() < 100, "{}", of("a"));
        assert_ne!(of("a"), of("b"));
    }
}
