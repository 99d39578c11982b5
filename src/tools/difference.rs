//! What differs between two values of one shape, field by field, as an engineer would say it. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::redact;

/// One field that differs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    /// As `propose_change` takes it: `containers[name=web].resources.limits.memory`.
    pub(super) path: String,
    /// `None`: the field was added.
    pub(super) before: Option<Value>,
    /// `None`: the field was removed.
    pub(super) after: Option<Value>,
}

/// Items of a list are the same item when this field of them is the same; the first that all items have counts.
const KEYS: [&str; 8] = ["name", "mountPath", "containerPort", "port", "type", "key", "host", "path"];

/// From `before` to `after`. Items of lists are compared by their name where they have one, so that one more
/// container is one difference. Secrets are replaced first: equal ones are equal, and none is in what is returned.
pub(super) fn difference(before: &Value, after: &Value) -> Vec<Difference> {
    let hidden = |value: &Value| {
        let mut value = value.clone();
        redact::value(&mut value);
        value
    };
    let mut found = Vec::new();
    compare("", Some(&hidden(before)), Some(&hidden(after)), &mut found);
    // A secret may have changed into one that looks the same once it is hidden: that it did must still be said.
    if found.is_empty() && before != after {
        let hidden = Some(Value::from("<hidden>"));
        found.push(Difference { path: "a hidden value".to_owned(), before: hidden.clone(), after: hidden });
    }
    found
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for (key, value) in old {
                compare(&member(path, key), Some(value), new.get(key), found);
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                compare(&member(path, key), None, Some(value), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => match key_of(old, new) {
            Some(key) => {
                let known = found.len();
                let find = |items: &[Value], wanted: &Value| {
                    items.iter().position(|item| item.get(key) == Some(wanted))
                };
                for item in old {
                    let after = find(new, &item[key]).map(|at| &new[at]);
                    compare(&item_path(path, key, &item[key]), Some(item), after, found);
                }
                for item in new.iter().filter(|item| find(old, &item[key]).is_none()) {
                    compare(&item_path(path, key, &item[key]), None, Some(item), found);
                }
                // The same items in another order: nothing else would be said of it.
                if found.len() == known {
                    let order =
                        |items: &[Value]| Value::Array(items.iter().map(|item| item[key].clone()).collect());
                    let path = format!("order of {path}");
                    found.push(Difference { path, before: Some(order(old)), after: Some(order(new)) });
                }
            }
            None => found.push(whole(path, before, after)),
        },
        _ => found.push(whole(path, before, after)),
    }
}

fn whole(path: &str, before: Option<&Value>, after: Option<&Value>) -> Difference {
    Difference { path: path.to_owned(), before: before.cloned(), after: after.cloned() }
}

fn member(path: &str, key: &str) -> String {
    // A key with dots, such as a label's, would read as a path.
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{key:?}]"),
    }
}

fn item_path(path: &str, key: &str, value: &Value) -> String {
    format!("{path}[{key}={}]", text(value))
}

/// The field that tells the items of both lists apart.
fn key_of(old: &[Value], new: &[Value]) -> Option<&'static str> {
    KEYS.into_iter().find(|key| {
        let distinct = |items: &[Value]| {
            let keys: BTreeSet<String> =
                items.iter().filter_map(|item| Some(item.get(key)?.to_string())).collect();
            keys.len() == items.len()
        };
        distinct(old) && distinct(new)
    })
}

/// A value in at most this many characters.
const VALUE_CHARS: usize = 120;

impl Difference {
    /// `containers[name=web].image: shop:1 -> shop:2`, `replicas: 3 added`, `env[name=X]: {"value":"1"} removed`.
    pub(super) fn words(&self) -> String {
        let Self { path, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) => {
                let (before, after) = apart(&text(before), &text(after));
                format!("{path}: {before} -> {after}")
            }
            (None, Some(after)) => format!("{path}: {} added", short(&text(after))),
            (Some(before), None) => format!("{path}: {} removed", short(&text(before))),
            (None, None) => path.clone(),
        }
    }
}

/// A text as it is, everything else as JSON.
fn text(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = redact::visible(&text).into_owned();
    if text.is_empty() { "\"\"".to_owned() } else { text.replace('\n', "\\n") }
}

fn short(text: &str) -> String {
    if text.chars().count() <= VALUE_CHARS {
        return text.to_owned();
    }
    let head: String = text.chars().take(VALUE_CHARS).collect();
    format!("{head}…")
}

/// Long values are shown around the place where they begin to differ.
fn apart(before: &str, after: &str) -> (String, String) {
    let long = |text: &str| text.chars().count() > VALUE_CHARS;
    if !long(before) && !long(after) {
        return (before.to_owned(), after.to_owned());
    }
    let same = before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count();
    let skipped = same.saturating_sub(20);
    let from = |text: &str| {
        let rest: String = text.chars().skip(skipped).collect();
        if skipped == 0 { short(&rest) } else { format!("…{}", short(&rest)) }
    };
    (from(before), from(after))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Difference, difference};

    fn told(before: &Value, after: &Value) -> Vec<String> {
        difference(before, after).iter().map(Difference::words).collect()
    }

    #[test]
    fn what_changed_in_a_template_is_said_field_by_field() {
        let before = json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [
            { "name": "web", "image": "shop:1", "env": [{ "name": "LEVEL", "value": "info" }],
              "resources": { "limits": { "memory": "64Mi" } }, "args": ["serve"] },
            { "name": "old", "image": "old:1" }] } });
        let after = json!({ "metadata": { "labels": { "app": "web", "app.kubernetes.io/part-of": "shop" } },
            "spec": { "containers": [
                { "name": "new", "image": "new:1" },
                { "name": "web", "image": "shop:2", "env": [{ "name": "LEVEL", "value": "debug" }],
                  "resources": {}, "args": ["serve", "-v"] }] } });
        assert_eq!(
            told(&before, &after),
            [
                r#"metadata.labels["app.kubernetes.io/part-of"]: shop added"#,
                "spec.containers[name=web].image: shop:1 -> shop:2",
                "spec.containers[name=web].env[name=LEVEL].value: info -> debug",
                r#"spec.containers[name=web].resources.limits: {"memory":"64Mi"} removed"#,
                r#"spec.containers[name=web].args: ["serve"] -> ["serve","-v"]"#,
                r#"spec.containers[name=old]: {"name":"old","image":"old:1"} removed"#,
                r#"spec.containers[name=new]: {"name":"new","image":"new:1"} added"#,
            ]
        );
        assert!(told(&after, &after).is_empty());
    }

    #[test]
    fn another_order_is_a_difference() {
        let ports = |names: [&str; 2]| json!({ "ports": names.map(|name| json!({ "name": name })) });
        assert_eq!(
            told(&ports(["a", "b"]), &ports(["b", "a"])),
            [r#"order of ports: ["a","b"] -> ["b","a"]"#]
        );
    }

    #[test]
    fn a_secret_that_changed_is_not_shown() {
        let env = |value: &str| json!({ "env": [{ "name": "DB_PASSWORD", "value": value }] });
        let told = told(&env("hunter2-first"), &env("hunter2-second"));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("env[name=DB_PASSWORD].value: <redacted:"), "{told:?}");
        assert!(!told[0].contains("hunter2"), "{told:?}");
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let script = |end: &str| json!({ "args": [format!("{}{end}", "x".repeat(400))] });
        let told = told(&script("first"), &script("second"));
        assert!(told[0].len() < 200 && told[0].contains("first") && told[0].contains("second"), "{told:?}");
    }
}
