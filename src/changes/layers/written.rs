//! Values as the block YAML that people write.

use serde_json::Value;

use crate::changes::scalar::plain_is_safe;

/// The value as a document; ends with a line break.
pub(super) fn block(value: &Value) -> String {
    let mut lines = Vec::new();
    write(value, 0, &mut lines);
    lines.join("\n") + "\n"
}

fn write(value: &Value, indent: usize, lines: &mut Vec<String>) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let key = scalar(&Value::from(key.as_str()));
                if is_block(value) {
                    lines.push(format!("{pad}{key}:"));
                    // A list may stand at its key's own margin, as kubectl writes it.
                    write(value, if value.is_array() { indent } else { indent + 2 }, lines);
                } else {
                    lines.push(format!("{pad}{key}: {}", scalar(value)));
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let at = lines.len();
                write(item, indent + 2, lines);
                if let Some(first) = lines.get_mut(at) {
                    *first = format!("{pad}- {}", first.trim_start());
                }
            }
        }
        value => lines.push(format!("{pad}{}", scalar(value))),
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

/// On one line. JSON's quotes are YAML's too.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if plain_is_safe(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::block;
    use crate::changes::documents;

    #[test]
    fn what_is_written_reads_the_same() {
        let value = json!({"kind": "Deployment", "metadata": {"name": "web", "annotations": {"a/b": "yes"}},
            "spec": {"empty": {}, "list": [1, "2", [3, {"x": null}]], "containers": [{"name": "web", "args": ["-x", "a: b\n"],
                "resources": {"limits": {"memory": "1Gi"}}}]}});
        let text = block(&value);
        assert_eq!(documents::parse(&text).unwrap(), value, "{text}");
        assert!(text.contains("  containers:\n  - name: web\n"), "{text}");
    }
}
