//! Secrets in a parsed object, by their place, their name, or their shape.

use serde_json::{Map, Value};

use super::{name, pattern, token};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Replaces the secrets in a Kubernetes object, a list of them, or any JSON value.
pub fn value(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(replaced) = pattern::replace(text) {
                *text = replaced;
            }
        }
        Value::Array(items) => list(items),
        Value::Object(fields) => object(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// As [`value`], for values whose keys people choose at every level, such as those of a Helm chart: a key's name says
/// what stands beside it.
pub fn values(values: &mut Value) {
    value(values);
    chosen(values);
}

fn chosen(values: &mut Value) {
    match values {
        Value::Array(items) => items.iter_mut().for_each(chosen),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(text) if name::holds_secret(key, text) => hide(field),
                    Value::Number(_) if name::of_secret(key) => hide(field),
                    Value::Array(items) => items.iter_mut().for_each(|item| match item {
                        Value::String(text) if name::holds_secret(key, text) => hide(item),
                        item => chosen(item),
                    }),
                    field => chosen(field),
                }
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hide(field: &mut Value) {
    let text = field.as_str().map_or_else(|| field.to_string(), str::to_owned);
    *field = Value::String(token(&text));
}

/// An argument that names a secret has it behind itself.
fn list(items: &mut [Value]) {
    let mut after_flag = false;
    for item in items {
        let is_flag = item.as_str().is_some_and(name::is_flag_of_secret);
        match item {
            Value::String(text) if after_flag && !text.starts_with('-') => *text = token(text),
            item => value(item),
        }
        after_flag = is_flag;
    }
}

fn object(fields: &mut Map<String, Value>) {
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
    let (secret, secrets) = (kind == "Secret", kind == "SecretList");
    let beside = fields.get("value").and_then(Value::as_str).unwrap_or_default();
    let named_secret =
        fields.get("name").and_then(Value::as_str).is_some_and(|name| name::holds_secret(name, beside));
    if secrets && let Some(Value::Array(items)) = fields.get_mut("items") {
        items.iter_mut().for_each(secret_data);
    }
    if named_secret && let Some(Value::String(beside)) = fields.get_mut("value") {
        *beside = token(beside);
    }
    for (key, field) in &mut *fields {
        match field {
            Value::String(text) if key == LAST_APPLIED || name::of_secret_field(key) => *text = token(text),
            Value::Object(entries) if is_free_text(key) => entries.iter_mut().for_each(entry),
            field => value(field),
        }
    }
    if secret {
        data(fields);
    }
}

fn secret_data(item: &mut Value) {
    if let Value::Object(fields) = item {
        data(fields);
    }
}

fn data(fields: &mut Map<String, Value>) {
    for place in ["data", "stringData"] {
        if let Some(Value::Object(entries)) = fields.get_mut(place) {
            for (_, entry) in entries.iter_mut() {
                hide(entry);
            }
        }
    }
}

/// Maps whose keys people choose: here a key's name says what its value is.
fn is_free_text(key: &str) -> bool {
    ["data", "stringData", "annotations", "labels", "env", "headers", "config"].contains(&key)
}

fn entry((key, field): (&String, &mut Value)) {
    match field {
        Value::String(text) if key == LAST_APPLIED || name::holds_secret(key, text) => *text = token(text),
        field => value(field),
    }
}
