//! What callers rely on: the tools of a server and what each takes. Pure.
//!
//! A change breaks callers when a call that was right before may be refused now. What is added, and what is taken
//! beside what was taken before, breaks nobody.

mod schema;

use std::fmt;

use serde_json::Value;

use super::wire::{Raw, text::Fields};

/// A tool by the server's own name, as its server defines it.
#[derive(Clone, Debug)]
pub struct ToolDefinition {
    pub name: String,
    pub raw: Raw,
}

/// One way in which callers break: a sentence without its full stop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach(pub String);

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How callers of `before` break on `after`; sorted by tool, nothing when they do not.
pub fn breaches(before: &[ToolDefinition], after: &[ToolDefinition]) -> Vec<Breach> {
    let mut found = Vec::new();
    for tool in before {
        match after.iter().find(|other| other.name == tool.name) {
            None => found.push(Breach(format!("tool {} is missing", tool.name))),
            Some(other) => found.extend(
                schema::breaks(&input(&tool.raw), &input(&other.raw))
                    .into_iter()
                    .map(|how| Breach(format!("tool {}: {how}", tool.name))),
            ),
        }
    }
    found.sort();
    found
}

/// In what two definitions of one tool differ, in a few words; for people.
pub(super) fn difference(before: &Raw, after: &Raw) -> String {
    let broken = schema::breaks(&input(before), &input(after));
    if !broken.is_empty() {
        return broken.join(", ");
    }
    let (Ok(before), Ok(after)) = (Fields::parse(before.get()), Fields::parse(after.get())) else {
        return "it is another definition".to_owned();
    };
    let names = before.iter().chain(after.iter()).map(|(name, _)| name);
    let mut changed: Vec<&str> = names
        .filter(|name| before.get(name).map(|value| value.get()) != after.get(name).map(|value| value.get()))
        .collect();
    changed.sort_unstable();
    changed.dedup();
    match changed.as_slice() {
        [] => "it is written otherwise".to_owned(),
        [one] => format!("its {one} changed"),
        several => format!("its {} changed", several.join(", ")),
    }
}

/// The input schema of a tool; one without takes anything.
fn input(definition: &Raw) -> Value {
    let Ok(fields) = Fields::parse(definition.get()) else { return Value::Null };
    fields.get("inputSchema").and_then(|schema| serde_json::from_str(schema.get()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ToolDefinition, breaches, difference};
    use crate::gateway::wire::text::raw;

    fn tool(name: &str, schema: Value) -> ToolDefinition {
        ToolDefinition {
            name: name.to_owned(),
            raw: raw(&json!({ "name": name, "description": "d", "inputSchema": schema })),
        }
    }

    fn said(before: Value, after: Value) -> Vec<String> {
        let found = breaches(&[tool("t", before)], &[tool("t", after)]);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_missing_tool_breaks_and_a_new_one_does_not() {
        let (a, b) = (tool("a", json!({})), tool("b", json!({})));
        assert_eq!(breaches(std::slice::from_ref(&a), &[a.clone(), b.clone()]), []);
        let found = breaches(&[a.clone(), b], &[a]);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tool b is missing"]);
    }

    #[test]
    fn properties() {
        let before = json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "integer" } }, "required": ["a"] });
        let more = json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": ["string", "null"] }, "b": { "type": "number", "description": "x" }, "c": {} } });
        assert_eq!(said(before.clone(), more), Vec::<String>::new());
        let less = json!({ "type": "object", "properties": { "a": { "type": "integer" }, "c": {} }, "required": ["a", "c"] });
        assert_eq!(
            said(before.clone(), less),
            ["tool t: a was string and is integer now", "tool t: b is gone", "tool t: c is required now",]
        );
        let optional = json!({ "type": "object", "properties": { "a": {}, "b": {} } });
        assert_eq!(said(before.clone(), optional.clone()), Vec::<String>::new());
        assert_eq!(
            said(optional, before),
            [
                "tool t: a is required now",
                "tool t: a took any type and takes string alone now",
                "tool t: b took any type and takes integer alone now",
            ]
        );
    }

    #[test]
    fn values() {
        let of = |property: Value| json!({ "properties": { "a": property } });
        let cases = [
            (json!({ "enum": ["x", "y"] }), json!({ "enum": ["x", "y", "z"] }), ""),
            (json!({ "enum": ["x", "y"] }), json!({ "enum": ["x"] }), "a no longer takes \"y\""),
            (json!({}), json!({ "enum": ["x"] }), "a takes only certain values now"),
            (json!({ "maxLength": 5 }), json!({ "maxLength": 9 }), ""),
            (json!({ "maxLength": 9 }), json!({ "maxLength": 5 }), "a: maxLength was 9 and is 5 now"),
            (json!({}), json!({ "minimum": 1 }), "a: minimum was none and is 1 now"),
            (json!({ "minimum": 1 }), json!({}), ""),
            (json!({ "pattern": "a" }), json!({ "pattern": "b" }), "a: pattern was \"a\" and is \"b\" now"),
            (
                json!({ "items": { "type": "string" } }),
                json!({ "items": { "type": "object" } }),
                "a[] was string and is object now",
            ),
            (json!({ "type": "string" }), json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] }), ""),
            (
                json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] }),
                json!({ "type": "string" }),
                "a no longer takes all that it took",
            ),
        ];
        for (before, after, breach) in cases {
            let found = said(of(before.clone()), of(after.clone())).join("; ");
            let expected = if breach.is_empty() { String::new() } else { format!("tool t: {breach}") };
            assert_eq!(found, expected, "{before} -> {after}");
        }
    }

    #[test]
    fn references_are_followed_and_may_be_circles() {
        let of = |type_: &str| json!({ "$ref": "#/$defs/node", "$defs": { "node": { "properties": { "next": { "$ref": "#/$defs/node" }, "value": { "type": type_ } } } } });
        assert_eq!(said(of("string"), of("string")), Vec::<String>::new());
        let found = said(of("string"), of("boolean"));
        assert_eq!(found[0], "tool t: next.next.next.value was string and is boolean now", "{found:?}");
    }

    #[test]
    fn a_difference_is_told_in_a_few_words() {
        let definition = |description: &str, schema: Value| {
            raw(&json!({ "name": "t", "description": description, "inputSchema": schema }))
        };
        let before = definition("d", json!({}));
        assert_eq!(difference(&before, &definition("e", json!({}))), "its description changed");
        let other = definition("d", json!({ "required": ["x"] }));
        assert_eq!(difference(&before, &other), "x is required now");
    }
}
