//! One text for definitions that say the same: members in the order of their names, no space between. A server that
//! writes its members in another order each time defines nothing anew.

use serde_json::Value;

use super::observation::digest;

/// The SHA-256 of what a definition says, in hex. All of it: its own server may look for a definition that says
/// something else under the same digits.
pub(super) fn hash(definition: &str) -> String {
    match serde_json::from_str::<Value>(definition) {
        Ok(value) => {
            let mut text = String::with_capacity(definition.len());
            write(&value, &mut text);
            digest(text.as_bytes())
        }
        // It came as JSON; were it none, its bytes would do.
        Err(_) => digest(definition.as_bytes()),
    }
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (name, value) in members {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn what_says_the_same_has_the_same_hash_and_nothing_else_has() {
        let one = hash(r#"{"name":"a","inputSchema":{"type":"object","required":["x","y"]}}"#);
        let same = hash(r#"{ "inputSchema": {"required":["x", "y"], "type":"object"}, "name":"\u0061" }"#);
        assert_eq!(one, same);
        assert_eq!(one.len(), 64);
        for other in [
            r#"{"name":"a","inputSchema":{"type":"object","required":["y","x"]}}"#,
            r#"{"name":"a","inputSchema":{"type":"object","required":["x","y"]},"z":null}"#,
            r#"{"name":"a","inputSchema":{"type":"object","required":["x,y"]}}"#,
        ] {
            assert_ne!(one, hash(other));
        }
    }
}
