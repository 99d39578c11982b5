//! Fields of a schema: walking to one by its path, and saying what it is. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::cluster::Schema;

/// One field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Below what was asked for.
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) required: bool,
    /// What a value must be: `one of A, B`, `default 1`.
    pub(super) limits: Vec<String>,
    pub(super) about: String,
}

/// Where a path leads.
#[derive(Debug, PartialEq)]
pub(super) enum Walked {
    /// The schema there, references resolved, and what its type is called.
    Found { node: Value, kind: String },
    /// The path is right up to here; there is no field `wrong` here, only `known`.
    Missing { right: String, wrong: String, known: Vec<String>, elsewhere: Vec<String> },
}

/// Follows a path such as `spec.template.spec.containers[name=web].image` or `spec.containers.image`.
pub(super) fn walk(schema: &Schema, path: &str) -> Walked {
    let mut node = resolved(schema, &schema.root());
    let mut kind = "object".to_owned();
    let mut right: Vec<String> = Vec::new();
    for step in steps(path) {
        node = inner(schema, node);
        let next =
            node["properties"].get(&step).or(node.get("additionalProperties").filter(|any| any.is_object()));
        let Some(next) = next else {
            let known = node["properties"].as_object().map(|all| all.keys().cloned().collect());
            return Walked::Missing {
                elsewhere: named(schema, &node, &step),
                known: known.unwrap_or_default(),
                right: right.join("."),
                wrong: step,
            };
        };
        kind = type_of(schema, next);
        node = resolved(schema, next);
        right.push(step);
    }
    Walked::Found { node, kind }
}

/// Steps of a path; which item of a list is meant does not matter.
fn steps(path: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for c in path.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain.split('.').filter(|step| !step.is_empty() && *step != "*").map(str::to_owned).collect()
}

/// Of a list, its items.
fn inner(schema: &Schema, mut node: Value) -> Value {
    while let Some(items) = node.get("items") {
        node = resolved(schema, &items.clone());
    }
    node
}

/// What a schema that refers to another stands for; what it says itself goes before.
fn resolved(schema: &Schema, value: &Value) -> Value {
    let in_all = value["allOf"].as_array().into_iter().flatten().find_map(|one| one["$ref"].as_str());
    let Some(reference) = value["$ref"].as_str().or(in_all) else { return value.clone() };
    let mut whole = schema.referred(reference);
    for own in ["description", "default"] {
        if let (Some(said), Some(fields)) = (value.get(own), whole.as_object_mut()) {
            fields.insert(own.to_owned(), said.clone());
        }
    }
    whole
}

/// `string`, `[]Container`, `map of string`, `DeploymentStrategy`.
fn type_of(schema: &Schema, value: &Value) -> String {
    let in_all = value["allOf"].as_array().into_iter().flatten().find_map(|one| one["$ref"].as_str());
    let name = value["$ref"].as_str().or(in_all).and_then(|reference| reference.rsplit('.').next());
    let whole = resolved(schema, value);
    if whole["x-kubernetes-int-or-string"] == true || whole["format"] == "int-or-string" {
        return "integer or string".to_owned();
    }
    match whole["type"].as_str() {
        Some("array") => format!("[]{}", type_of(schema, &whole["items"])),
        Some("object") | None => {
            match (name, whole.get("additionalProperties").filter(|any| any.is_object())) {
                (_, Some(any)) => format!("map of {}", type_of(schema, any)),
                (Some(name), None) => name.to_owned(),
                (None, None) if whole["x-kubernetes-preserve-unknown-fields"] == true => {
                    "anything".to_owned()
                }
                (None, None) => "object".to_owned(),
            }
        }
        // `Quantity` and `Time` are strings that say more by their name.
        Some(plain) => match (name, whole["format"].as_str()) {
            (Some(name), _) => format!("{plain} ({name})"),
            (None, Some(format)) => format!("{plain} ({format})"),
            (None, None) => plain.to_owned(),
        },
    }
}

/// The fields of an object or of a list's items, required ones first.
pub(super) fn fields(schema: &Schema, node: &Value) -> Vec<Field> {
    let node = inner(schema, node.clone());
    let none = Map::new();
    let required = node["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let properties = node["properties"].as_object().unwrap_or(&none);
    let mut fields: Vec<Field> = properties
        .iter()
        .map(|(name, value)| {
            let whole = resolved(schema, value);
            Field {
                name: name.clone(),
                kind: type_of(schema, value),
                required: required.iter().any(|one| one == name),
                limits: limits(&whole),
                about: about(&whole),
            }
        })
        .collect();
    fields.sort_by_key(|field| !field.required);
    fields
}

pub(super) fn about(node: &Value) -> String {
    node["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a value of this must be.
pub(super) fn limits(node: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(choices) = node["enum"].as_array() {
        let choices: Vec<String> = choices.iter().map(shown).collect();
        limits.push(format!("one of {}", choices.join(", ")));
    }
    let default = node.get("default");
    if let Some(default) =
        default.filter(|default| !default.is_null() && **default != Value::Object(Map::new()))
    {
        limits.push(format!("default {}", shown(default)));
    }
    for (key, word) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "characters at least"),
        ("maxLength", "characters at most"),
        ("minItems", "items at least"),
        ("maxItems", "items at most"),
        ("pattern", "matches"),
    ] {
        if let Some(limit) = node.get(key) {
            limits.push(format!("{word} {}", shown(limit)));
        }
    }
    for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let words = rule["message"].as_str().or(rule["rule"].as_str()).unwrap_or_default();
        limits.push(format!("rule: {words}"));
    }
    limits
}

/// Paths below `node` that end in a field of this name, the shortest first.
fn named(schema: &Schema, node: &Value, name: &str) -> Vec<String> {
    const DEPTH: usize = 8;
    const FOUND: usize = 3;
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut level = vec![(String::new(), node.clone())];
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for (path, node) in level {
            for (key, value) in node["properties"].as_object().into_iter().flatten() {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if key.eq_ignore_ascii_case(name) {
                    found.push(path.clone());
                }
                // What was looked at in one place is the same in another.
                let text = value.to_string();
                if !text.contains("$ref") || seen.insert((key.clone(), text)) {
                    next.push((path, inner(schema, resolved(schema, value))));
                }
            }
            if found.len() >= FOUND {
                found.truncate(FOUND);
                return found;
            }
        }
        level = next;
    }
    found
}
