//! Rendered objects: reading them, naming them, telling which differ. Pure.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use crate::changes::documents;

/// Which object it is; versions of its API make no difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::changes) struct Key {
    pub(in crate::changes) group: String,
    pub(in crate::changes) kind: String,
    /// Empty where the object names none.
    pub(in crate::changes) namespace: String,
    pub(in crate::changes) name: String,
}

impl Key {
    pub(in crate::changes) fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = object["apiVersion"].as_str().unwrap_or_default();
        Self {
            group: version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: text(&object["kind"]),
            namespace: text(&object["metadata"]["namespace"]),
            name: text(&object["metadata"]["name"]),
        }
    }

    pub(in crate::changes) fn find<'v>(&self, objects: &'v [Value]) -> Option<&'v Value> {
        objects.iter().find(|object| Self::of(object) == *self)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group: _, kind, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

/// The objects that a renderer wrote; lists are taken apart.
pub(super) fn read(out: &[u8]) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(out).map_err(|error| error.to_string())?;
    let mut objects = Vec::new();
    for value in documents::parse_all(text)? {
        take(value, &mut objects);
    }
    Ok(objects)
}

fn take(value: Value, objects: &mut Vec<Value>) {
    let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match value {
        Value::Object(mut fields) if is_list && fields.get("items").is_some_and(Value::is_array) => {
            if let Some(Value::Array(items)) = fields.shift_remove("items") {
                items.into_iter().for_each(|item| take(item, objects));
            }
        }
        Value::Object(_) => objects.push(value),
        // What is empty or no object is nothing that is applied.
        _ => {}
    }
}

/// The objects that are not the same in both, each with how it was and how it is.
pub(in crate::changes) fn differing<'v>(
    before: &'v [Value],
    after: &'v [Value],
) -> Vec<(Key, Vec<&'v Value>, Vec<&'v Value>)> {
    let mut all: BTreeMap<Key, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for object in before {
        all.entry(Key::of(object)).or_default().0.push(object);
    }
    for object in after {
        all.entry(Key::of(object)).or_default().1.push(object);
    }
    all.into_iter()
        .filter(|(_, (before, after))| before != after)
        .map(|(key, (before, after))| (key, before, after))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{differing, read};

    #[test]
    fn only_objects_are_read_and_lists_taken_apart() {
        let out = b"# Source: x\n---\n---\napiVersion: v1\nkind: List\nitems:\n- kind: A\n  metadata: {name: a}\n---\nkind: B\nmetadata: {name: b}\n";
        let read = read(out).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0]["kind"], "A");
    }

    #[test]
    fn what_differs_is_named() {
        let before =
            read(b"kind: A\nmetadata: {name: a}\n---\nkind: B\nmetadata: {name: b}\nx: 1\n").unwrap();
        let after = read(b"kind: B\nmetadata: {name: b}\nx: 2\n---\nkind: A\nmetadata: {name: a}\n").unwrap();
        let differing: Vec<_> =
            differing(&before, &after).into_iter().map(|(key, ..)| key.to_string()).collect();
        assert_eq!(differing, ["B b"]);
    }
}
