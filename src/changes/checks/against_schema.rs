//! A rendered object against the OpenAPI v3 schema of its kind. Pure.
//!
//! `jsonschema` judges types, choices, patterns, bounds and required fields; what a kind does not have is found by
//! [`Node::unknown_in`], which knows what is near. CEL rules of custom resources are left to the dry-run.

use serde_json::{Map, Value, json};

use crate::changes::schema::Node;

/// What is wrong with an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Faults that the change brings, one sentence each.
    pub(super) new: Vec<String>,
    /// How many were there before it.
    pub(super) old: usize,
}

/// # Errors
/// One sentence, when the schema itself cannot be used.
pub(super) fn judge(schema: &Value, before: Option<&Value>, after: &Value) -> Result<Found, String> {
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft4)
        .offline()
        // Kubernetes' formats (int32, byte, quantity) are names, not checks.
        .should_validate_formats(false)
        .build(&as_json_schema(schema))
        .map_err(|error| format!("its schema cannot be used ({error})"))?;
    let faults = |object: &Value| -> Vec<String> {
        let kind = object["kind"].as_str().unwrap_or("the object");
        let object = without_nulls(object);
        let mut unknown = Vec::new();
        Node::root(schema).unknown_in(&object, "", &mut unknown);
        let unknown = unknown.iter().map(|unknown| unknown.told(kind));
        let wrong = validator.iter_errors(&object).map(|error| {
            let at = error.instance_path().to_string();
            let at = at.trim_start_matches('/').replace('/', ".");
            let said = error.masked_with("the value").to_string();
            if at.is_empty() { said } else { format!("{at}: {said}") }
        });
        wrong.chain(unknown).collect()
    };
    let old = before.map(faults).unwrap_or_default();
    let (old, new): (Vec<String>, Vec<String>) =
        faults(after).into_iter().partition(|fault| old.contains(fault));
    Ok(Found { new, old: old.len() })
}

/// `null` in a mapping is as good as nothing to the API server: `creationTimestamp: null` stands in many manifests.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(said.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// An OpenAPI v3 document of Kubernetes as JSON Schema.
fn as_json_schema(document: &Value) -> Value {
    let mut schemas = Map::new();
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let mut schema = translated(schema);
        // A quantity is documented as text; a number is one too.
        if name.ends_with(".resource.Quantity") {
            schema = json!({ "type": ["string", "number"] });
        }
        schemas.insert(name.clone(), schema);
    }
    json!({ "$ref": document["$ref"], "components": { "schemas": schemas } })
}

fn translated(schema: &Value) -> Value {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    let is = |key: &str| fields.get(key) == Some(&Value::Bool(true));
    let either = is("x-kubernetes-int-or-string")
        || fields.get("format").and_then(Value::as_str) == Some("int-or-string");
    let mut out = Map::new();
    for (key, value) in fields {
        let value = match key.as_str() {
            // Words for people, and what an empty mapping as the default of a required text would confuse.
            "description" | "default" | "example" | "title" => continue,
            key if key.starts_with("x-kubernetes-") => continue,
            // The type says it already; its parts say nothing more.
            "type" | "anyOf" | "oneOf" if either => continue,
            "properties" | "patternProperties" | "definitions" => {
                let inner = value.as_object().into_iter().flatten();
                Value::Object(inner.map(|(key, value)| (key.clone(), translated(value))).collect())
            }
            "items" | "additionalProperties" | "not" => translated(value),
            "allOf" | "anyOf" | "oneOf" => {
                Value::Array(value.as_array().into_iter().flatten().map(translated).collect())
            }
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    if either {
        out.insert("type".to_owned(), json!(["integer", "string"]));
    }
    if is("nullable") {
        if let Some(kind) = out.get("type").cloned() {
            let mut kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind]);
            kinds.push(json!("null"));
            out.insert("type".to_owned(), Value::Array(kinds));
        }
        if let Some(Value::Array(choices)) = out.get_mut("enum") {
            choices.push(Value::Null);
        }
    }
    Value::Object(out)
}
