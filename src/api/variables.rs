//! How a rendered file refers to a credential, `${ORDERS_PASSWORD}`, and how the reference is filled in.
//!
//! The operator writes and checks such files, the bridge fills them in inside the pod: both must mean the same.
//! A value is written as the inside of a double-quoted string, which JSON, YAML and TOML write alike.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A value for `${NAME}` comes in the environment variable of this prefix and `NAME`: nothing else of the
/// environment can be referred to.
pub const PREFIX: &str = "PILOTHOUSE_FILL_";

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Text(&'a str),
    Variable(Variable<'a>),
}

/// `${NAME}`, or `${NAME:url}` for a value inside of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable<'a> {
    pub name: &'a str,
    /// What stands in the text.
    pub written: &'a str,
    /// Percent-encoded.
    pub in_url: bool,
}

impl Variable<'_> {
    /// The value as it stands in the file.
    pub fn with(&self, value: &str) -> String {
        if self.in_url { percent_encoded(value) } else { escaped(value) }
    }
}

/// The text in pieces; put together again they are the text.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut plain_until = 0;
    while let Some(at) = rest.get(plain_until..).and_then(|after| after.find("${")) {
        let at = plain_until + at;
        match variable(&rest[at..]) {
            Some(variable) => {
                if at > 0 {
                    parts.push(Part::Text(&rest[..at]));
                }
                rest = &rest[at + variable.written.len()..];
                parts.push(Part::Variable(variable));
                plain_until = 0;
            }
            None => plain_until = at + 2,
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

fn variable(text: &str) -> Option<Variable<'_>> {
    let inner = text.strip_prefix("${")?;
    let end = inner.find('}')?;
    let (name, in_url) = match inner[..end].strip_suffix(":url") {
        Some(name) => (name, true),
        None => (&inner[..end], false),
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_name.then_some(Variable { name, written: &text[..end + 3], in_url })
}

/// The text with every variable in the place of which `value` knows something; others stay as they are written.
///
/// # Errors
/// The first that `value` gives.
pub fn fill<E>(text: &str, value: impl Fn(&str) -> Result<Option<String>, E>) -> Result<String, E> {
    let mut filled = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Variable(variable) => match value(variable.name)? {
                Some(value) => filled.push_str(&variable.with(&value)),
                None => filled.push_str(variable.written),
            },
        }
    }
    Ok(filled)
}

/// The inside of a double-quoted string of JSON, YAML and TOML.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            // What one of the three formats does not take as it is.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// What may stand anywhere in a URL as it is.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Everything but letters, digits and `-._~` as `%XX`.
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, &UNRESERVED).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use super::{Part, escaped, fill, parts};

    fn names(text: &str) -> Vec<&str> {
        let named = parts(text).into_iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable.name),
            Part::Text(_) => None,
        });
        named.collect()
    }

    #[test]
    fn only_upper_case_names_in_braces_are_variables() {
        assert_eq!(names("a ${A} $B ${c} ${D_1:url} ${} ${E ${F}${1}$${G}"), ["A", "D_1", "F", "G"]);
        assert_eq!(names("${"), [""; 0]);
    }

    #[test]
    fn the_parts_are_the_text() {
        for text in ["", "${", "${A}", "x${A}y${b}${B:url}z", "${${A}}"] {
            let joined: String = parts(text)
                .into_iter()
                .map(|part| match part {
                    Part::Text(text) => text,
                    Part::Variable(variable) => variable.written,
                })
                .collect();
            assert_eq!(joined, text);
        }
    }

    #[test]
    fn a_value_is_never_looked_into_again() {
        let value = |name: &str| Ok::<_, Infallible>((name == "A").then(|| "${B}\"p@ss/ä".to_owned()));
        let filled = fill("a = \"${A}\", b = \"${B}\"", value).unwrap();
        assert_eq!(filled, "a = \"${B}\\\"p@ss/ä\", b = \"${B}\"");
        assert_eq!(fill("u:${A:url}@", value).unwrap(), "u:%24%7BB%7D%22p%40ss%2F%C3%A4@");
    }

    #[test]
    fn what_is_escaped_is_the_same_in_all_three_formats() {
        let nasty: String = (0..=0x2ff_u32)
            .filter_map(char::from_u32)
            .chain("\u{2028}\u{feff}\u{fffe}😀#'{{".chars())
            .collect();
        let quoted = format!("\"{}\"", escaped(&nasty));
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), nasty);
        assert_eq!(serde_saphyr::from_str::<String>(&quoted).unwrap(), nasty);
        let table: toml::Table = toml::from_str(&format!("a = {quoted}")).unwrap();
        assert_eq!(table["a"].as_str().unwrap(), nasty);
    }
}
