//! Label and field selectors, as far as a recorded cluster must understand them itself.

use serde_json::Value;

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Term>);

impl Selector {
    /// `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    ///
    /// # Errors
    /// One sentence naming the part that cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        split(text)
            .into_iter()
            .filter(|part| !part.trim().is_empty())
            .map(term)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// `a=b,c!=d`: fields are selected by nothing else.
    ///
    /// # Errors
    /// As [`Selector::parse`].
    pub(super) fn of_fields(text: &str) -> Result<Self, String> {
        let is_odd = |part: &&str| !part.trim().is_empty() && !part.contains('=');
        match split(text).into_iter().find(is_odd) {
            Some(part) => Err(format!("`{}` is not a field selector: use a=b or a!=b", part.trim())),
            None => Self::parse(text),
        }
    }

    /// What the requirements are about.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|term| match term {
            Term::In(key, _) | Term::NotIn(key, _) | Term::Exists(key) | Term::Missing(key) => key.as_str(),
        })
    }

    pub(super) fn matches_labels(&self, labels: Option<&Value>) -> bool {
        self.matches(|key| labels?.get(key)?.as_str().map(str::to_owned))
    }

    /// Fields are paths such as `metadata.name` or `involvedObject.kind`.
    pub(super) fn matches_fields(&self, object: &Value) -> bool {
        self.matches(|path| {
            let found = path.split('.').try_fold(object, |value, key| value.get(key));
            match found {
                Some(Value::String(text)) => Some(text.clone()),
                Some(other) if !other.is_null() => Some(other.to_string()),
                // Absent and empty are the same for field selectors.
                _ => Some(String::new()),
            }
        })
    }

    fn matches(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        self.0.iter().all(|term| match term {
            Term::In(key, values) => value(key).is_some_and(|found| values.contains(&found)),
            Term::NotIn(key, values) => !value(key).is_some_and(|found| values.contains(&found)),
            Term::Exists(key) => value(key).is_some(),
            Term::Missing(key) => value(key).is_none(),
        })
    }
}

/// At commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn term(part: &str) -> Result<Term, String> {
    let part = part.trim();
    let set = |rest: &str| -> Option<Vec<String>> {
        let inner = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    let wrong =
        || format!("`{part}` is not a selector requirement: use a=b, a!=b, a in (b,c), a notin (b), a or !a");
    let key = |key: &str| {
        let key = key.trim();
        let fits = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        if fits { Ok(key.to_owned()) } else { Err(wrong()) }
    };
    let value = |value: &str| {
        let value = value.trim();
        if value.contains([' ', '=', '!', '(', ')']) { Err(wrong()) } else { Ok(vec![value.to_owned()]) }
    };
    if let Some((name, rest)) = part.split_once(" notin ") {
        return Ok(Term::NotIn(key(name)?, set(rest).ok_or_else(wrong)?));
    }
    if let Some((name, rest)) = part.split_once(" in ") {
        return Ok(Term::In(key(name)?, set(rest).ok_or_else(wrong)?));
    }
    if let Some((name, is)) = part.split_once("!=") {
        return Ok(Term::NotIn(key(name)?, value(is)?));
    }
    if let Some((name, is)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Term::In(key(name)?, value(is)?));
    }
    Ok(match part.strip_prefix('!') {
        Some(name) => Term::Missing(key(name)?),
        None => Term::Exists(key(part)?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::Selector;

    #[test]
    fn label_selectors_of_every_form() {
        let labels = json!({ "app": "web", "tier": "front" });
        for (selector, expected) in [
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app in (web, api),tier", true),
            ("app notin (web)", false),
            ("!app", false),
            ("!gone,gone!=x", true),
            ("", true),
        ] {
            assert_eq!(
                Selector::parse(selector).unwrap().matches_labels(Some(&labels)),
                expected,
                "{selector}"
            );
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_refused() {
        for selector in ["app in web", "=web", "!", "app=web=x", "a b", "app=web,!=x", "app in (web", "a=(b)"]
        {
            let refused = Selector::parse(selector);
            assert!(refused.is_err_and(|told| told.contains("is not a selector requirement")), "{selector}");
        }
        for selector in ["spec.nodeName", "!spec.nodeName", "spec.nodeName in (a)"] {
            let refused = Selector::of_fields(selector);
            assert!(refused.is_err_and(|told| told.contains("use a=b or a!=b")), "{selector}");
        }
    }

    #[test]
    fn field_selectors_walk_the_object() {
        let object = json!({ "metadata": { "name": "a" }, "spec": {} });
        assert!(Selector::of_fields("metadata.name=a,spec.nodeName=").unwrap().matches_fields(&object));
        assert!(!Selector::of_fields("metadata.name!=a").unwrap().matches_fields(&object));
    }
}
