//! The part of JSONPath that printer columns use: fields, indices, wildcards and one filter,
//! `.status.conditions[?(@.type=="Ready")].status`.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// A field of the element (as a path) that equals a text.
    Where(Vec<Self>, String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

impl JsonPath {
    /// `None` for what this subset does not have; the column then stays empty.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
        steps(text).map(Self)
    }

    /// All values at the path, joined by commas.
    pub(super) fn show(&self, value: &Value) -> String {
        let mut found = vec![value];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| apply(step, value)).collect();
        }
        let shown: Vec<String> = found
            .into_iter()
            .filter(|value| !value.is_null())
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        shown.join(",")
    }
}

fn apply<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(at) => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let at = if *at < 0 { at + i64::try_from(items.len()).unwrap_or(0) } else { *at };
            usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
        }
        Step::All => match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(fields) => fields.values().collect(),
            _ => Vec::new(),
        },
        Step::Where(path, wanted) => {
            let path = JsonPath(path.clone());
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().filter(|item| path.show(item) == *wanted).collect()
        }
    }
}

fn steps(mut rest: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(bracket) = rest.strip_prefix('[') {
            let end = closing(bracket)?;
            steps.push(in_brackets(bracket[..end].trim())?);
            rest = &bracket[end + 1..];
        } else {
            let (name, after) = field(rest.strip_prefix('.').unwrap_or(rest));
            if name == "*" {
                steps.push(Step::All);
            } else if !name.is_empty() {
                steps.push(Step::Field(name));
            } else if after == rest || !after.is_empty() && !after.starts_with('[') {
                // `..` and the like.
                return None;
            }
            rest = after;
        }
    }
    Some(steps)
}

/// The end of what a bracket opened; brackets in quotes do not count.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn in_brackets(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        let (path, wanted) = filter.split_once("==")?;
        let path = steps(path.trim().strip_prefix('@')?)?;
        return Some(Step::Where(path, unquoted(wanted.trim()).to_owned()));
    }
    match inner.parse() {
        Ok(at) => Some(Step::Index(at)),
        Err(_) if inner.starts_with(['"', '\'']) => Some(Step::Field(unquoted(inner).to_owned())),
        Err(_) => None,
    }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// A field's name, where `\.` is a point inside it, and what follows.
fn field(text: &str) -> (String, &str) {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => return (name, &text[at..]),
            c => {
                escaped = false;
                name.push(c);
            }
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::JsonPath;

    #[test]
    fn paths_of_printer_columns() {
        let value = json!({
            "metadata": { "labels": { "app.kubernetes.io/name": "web" } },
            "spec": { "hosts": ["a", "b"], "n": 3 },
            "status": { "conditions": [
                { "type": "Synced", "status": "False" }, { "type": "Ready", "status": "True" } ] },
        });
        for (path, shown) in [
            (".spec.n", "3"),
            ("{.spec.hosts[0]}", "a"),
            (".spec.hosts[-1]", "b"),
            (".spec.hosts[*]", "a,b"),
            (".spec.hosts", r#"["a","b"]"#),
            (r".metadata.labels.app\.kubernetes\.io/name", "web"),
            (".metadata.labels['app.kubernetes.io/name']", "web"),
            (r#".status.conditions[?(@.type=="Ready")].status"#, "True"),
            (".status.conditions[?(@.type=='Gone')].status", ""),
            (".spec.missing.deeper", ""),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap().show(&value), shown, "{path}");
        }
        assert_eq!(JsonPath::parse("..name"), None);
        assert_eq!(JsonPath::parse(".a[?(@.b > 3)]"), None);
    }
}
