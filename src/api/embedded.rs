//! Kubernetes' own types inside ours.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// The schema of a Kubernetes type, with only the first sentence of each description: `kubectl explain pod.spec`
/// has the rest, and a CRD must stay small.
pub(super) fn brief<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    if let Some(object) = schema.as_object_mut() {
        object.values_mut().for_each(shorten);
    }
    schema
}

/// A map of texts, of at most `ENTRIES`, each at most `LENGTH` long: CEL's cost is reckoned from both.
pub(super) fn texts<const ENTRIES: u32, const LENGTH: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": ENTRIES,
        "additionalProperties": { "type": "string", "maxLength": LENGTH },
    })
}

/// A number, or a text of at most `LENGTH`, such as a quantity or a percentage.
pub(super) fn number_or_text<const LENGTH: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true, "maxLength": LENGTH })
}

fn shorten(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = first_sentence(text).to_owned();
            }
            object.values_mut().for_each(shorten);
        }
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn first_sentence(text: &str) -> &str {
    let ends = [". ", ".\n", "\n\n"].iter().filter_map(|end| text.find(end));
    match ends.min() {
        Some(end) => text[..=end].trim_end(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::first_sentence;

    #[test]
    fn the_first_sentence_is_kept_whole() {
        assert_eq!(first_sentence("If true, v1.2 is used. More info: x"), "If true, v1.2 is used.");
        assert_eq!(first_sentence("One line\n\nand more."), "One line");
        assert_eq!(first_sentence("Only this"), "Only this");
    }
}
