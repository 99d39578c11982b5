//! Whether a JSON schema still takes what another one took. Errs on the side of saying that it does not.

use serde_json::Value;

/// Levels that are looked at; schemas may go in circles.
const DEEPEST: usize = 4;

/// Raised or newly set, these take less.
const LEAST: [&str; 6] =
    ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "multipleOf"];
/// Lowered or newly set, these take less.
const MOST: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// Changed or newly set, these take something else.
const EXACT: [&str; 6] = ["pattern", "format", "const", "allOf", "not", "uniqueItems"];

/// How somebody who sends what `before` takes may be refused by `after`.
pub(super) fn breaks(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Pair { before, after }.compare("", before, after, DEEPEST, &mut found);
    found.sort();
    found.dedup();
    found
}

/// The two documents, in which references are looked up.
struct Pair<'a> {
    before: &'a Value,
    after: &'a Value,
}

impl Pair<'_> {
    fn compare(&self, at: &str, before: &Value, after: &Value, deeper: usize, found: &mut Vec<String>) {
        let (before, after) = (followed(self.before, before), followed(self.after, after));
        if before == after && self.before == self.after {
            return;
        }
        if after == &Value::Bool(false) {
            found.push(format!("{} is gone", shown(at)));
            return;
        }
        if self.alternatives(at, before, after, deeper, found) {
            return;
        }
        types(at, before, after, found);
        values(at, before, after, found);
        bounds(at, before, after, found);
        let Some(deeper) = deeper.checked_sub(1) else { return };
        self.members(at, before, after, deeper, found);
        if let (Some(before), Some(after)) = (before.get("items"), after.get("items")) {
            self.compare(&format!("{at}[]"), before, after, deeper, found);
        }
    }

    /// `anyOf` and `oneOf`: each alternative of before must be taken by one of after.
    fn alternatives(
        &self,
        at: &str,
        before: &Value,
        after: &Value,
        deeper: usize,
        found: &mut Vec<String>,
    ) -> bool {
        let (old, new) = (options(before), options(after));
        if old.is_none() && new.is_none() {
            return false;
        }
        let (old, new) = (old.unwrap_or_else(|| vec![before]), new.unwrap_or_else(|| vec![after]));
        let takes = |old: &Value, new: &Value| {
            let mut breaches = Vec::new();
            if let Some(deeper) = deeper.checked_sub(1) {
                self.compare(at, old, new, deeper, &mut breaches);
            }
            breaches.is_empty()
        };
        if !old.iter().all(|old| new.iter().any(|new| takes(old, new))) {
            found.push(format!("{} no longer takes all that it took", shown(at)));
        }
        true
    }

    fn members(&self, at: &str, before: &Value, after: &Value, deeper: usize, found: &mut Vec<String>) {
        let required = |schema: &Value, name: &str| {
            let names = schema.get("required").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|one| one == name))
        };
        for name in after.get("required").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = name.as_str() else { continue };
            if !required(before, name) {
                found.push(format!("{} is required now", below(at, name)));
            }
        }
        let properties = after.get("properties").and_then(Value::as_object);
        for (name, property) in before.get("properties").and_then(Value::as_object).into_iter().flatten() {
            match properties.and_then(|properties| properties.get(name)) {
                Some(now) => self.compare(&below(at, name), property, now, deeper, found),
                None => found.push(format!("{} is gone", below(at, name))),
            }
        }
        let open = before.get("additionalProperties").is_some_and(|more| more != &Value::Bool(false));
        if open && after.get("additionalProperties") == Some(&Value::Bool(false)) {
            found.push(format!("{} takes no further properties now", shown(at)));
        }
    }
}

fn types(at: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    let of = |schema: &Value| -> Option<Vec<String>> {
        match schema.get("type")? {
            Value::String(one) => Some(vec![one.clone()]),
            Value::Array(several) => {
                Some(several.iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect())
            }
            _ => None,
        }
    };
    let Some(new) = of(after) else { return };
    let Some(old) = of(before) else {
        // A tool's arguments are an object, whether it is said or not.
        if !at.is_empty() {
            found.push(format!("{} took any type and takes {} alone now", shown(at), new.join(" or ")));
        }
        return;
    };
    let taken =
        |one: &String| new.contains(one) || one == "integer" && new.iter().any(|other| other == "number");
    if !old.iter().all(taken) {
        found.push(format!("{} was {} and is {} now", shown(at), old.join(" or "), new.join(" or ")));
    }
}

fn values(at: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    let Some(new) = after.get("enum").and_then(Value::as_array) else { return };
    let old = match (before.get("enum").and_then(Value::as_array), before.get("const")) {
        (Some(old), _) => old.clone(),
        (None, Some(only)) => vec![only.clone()],
        (None, None) => {
            found.push(format!("{} takes only certain values now", shown(at)));
            return;
        }
    };
    let gone: Vec<String> =
        old.iter().filter(|value| !new.contains(value)).take(5).map(ToString::to_string).collect();
    if !gone.is_empty() {
        found.push(format!("{} no longer takes {}", shown(at), gone.join(", ")));
    }
}

fn bounds(at: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    let number = |schema: &Value, key: &str| schema.get(key).and_then(Value::as_f64);
    let mut say = |key: &str| {
        let of = |schema: &Value| schema.get(key).map_or_else(|| "none".to_owned(), short);
        found.push(format!("{}: {key} was {} and is {} now", shown(at), of(before), of(after)));
    };
    for key in LEAST {
        if number(after, key).is_some_and(|now| number(before, key).is_none_or(|was| now > was)) {
            say(key);
        }
    }
    for key in MOST {
        if number(after, key).is_some_and(|now| number(before, key).is_none_or(|was| now < was)) {
            say(key);
        }
    }
    for key in EXACT {
        let now = after.get(key).filter(|now| now != &&Value::Bool(false));
        if now.is_some() && now != before.get(key) {
            say(key);
        }
    }
}

fn options(schema: &Value) -> Option<Vec<&Value>> {
    let list = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    Some(list.iter().collect())
}

/// What a reference within the same document leads to; the schema itself when it is none, or leads nowhere.
fn followed<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    // A chain this long is a circle.
    for _ in 0..8 {
        let to = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
        match to.and_then(|to| document.pointer(to)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

fn below(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn shown(at: &str) -> &str {
    if at.is_empty() { "its input" } else { at }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
