//! New values as YAML text: in the style of what they replace where that is safe, and so that a YAML 1.1 reader
//! (Kubernetes) and a YAML 1.2 reader take them for the same thing.

use serde_json::Value;
use yaml_edit::{ScalarStyle, ScalarValue, YamlValue};

/// How the value that is replaced was written; `None` for a new field or for what was no scalar.
pub(super) type OldStyle = Option<ScalarStyle>;

/// The ways to write `new`, best first.
pub(super) fn ways(new: &Value, old: OldStyle) -> Vec<YamlValue> {
    let Value::String(text) = new else { return vec![written(new)] };
    let one_line = !text.contains(char::is_control);
    let mut styles = Vec::new();
    match old {
        Some(ScalarStyle::SingleQuoted) if one_line => styles.push(ScalarStyle::SingleQuoted),
        Some(ScalarStyle::DoubleQuoted) => {}
        Some(ScalarStyle::Literal | ScalarStyle::Folded) if text.contains('\n') => {
            styles.push(ScalarStyle::Literal);
        }
        _ if plain_is_safe(text) => styles.push(ScalarStyle::Plain),
        None if text.contains('\n') => styles.push(ScalarStyle::Literal),
        _ => {}
    }
    styles.push(ScalarStyle::DoubleQuoted);
    styles.into_iter().map(|style| YamlValue::scalar(ScalarValue::with_style(text, style))).collect()
}

fn written(value: &Value) -> YamlValue {
    match value {
        Value::Null => YamlValue::scalar(ScalarValue::null()),
        Value::Bool(_) | Value::Number(_) => YamlValue::scalar(ScalarValue::parse(value.to_string())),
        Value::String(text) => {
            let style = if plain_is_safe(text) { ScalarStyle::Plain } else { ScalarStyle::DoubleQuoted };
            YamlValue::scalar(ScalarValue::with_style(text, style))
        }
        Value::Array(items) => YamlValue::Sequence(items.iter().map(written).collect()),
        Value::Object(fields) => {
            YamlValue::Mapping(fields.iter().map(|(key, value)| (key.clone(), written(value))).collect())
        }
    }
}

/// Words that some reader takes for something else than text.
const WORDS: [&str; 12] =
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"];

/// Whether every reader takes the bare text for a string, in block and flow style alike. Says no when in doubt.
pub(super) fn plain_is_safe(text: &str) -> bool {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return false };
    let spelled = first.is_ascii_alphanumeric() || first == '/' || first == '_';
    let harmless = text.chars().all(|c| c.is_ascii_alphanumeric() || "._/@%+-:= ".contains(c));
    let unambiguous = !text.contains(": ") && !text.ends_with([':', ' ']);
    // Numbers of any base, sexagesimals, dates and times consist of nothing else.
    let number_like =
        text.chars().all(|c| c.is_ascii_hexdigit() || "xXoO_.:+- TZtz".contains(c)) && first.is_ascii_digit();
    let word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    spelled && harmless && unambiguous && !number_like && !word
}

#[cfg(test)]
mod tests {
    use super::plain_is_safe;

    #[test]
    fn bare_text_only_where_nobody_reads_something_else() {
        for safe in
            ["512Mi", "500m", "nginx:1.27", "registry.example.com/a/b@sha256", "hello world", "Always"]
        {
            assert!(plain_is_safe(safe), "{safe}");
        }
        for unsafe_ in [
            "",
            "yes",
            "NO",
            "on",
            "null",
            "010",
            "0x1F",
            "1e3",
            "1_000",
            "12:30:45",
            "2026-11-21",
            "1.5",
            "12",
            "-1",
            "- a",
            "a: b",
            "a:",
            " a",
            "a ",
            "#a",
            "a #b",
            "*a",
            "&a",
            "{a}",
            "[a]",
            "a, b",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a`",
            "'a'",
            "\"a\"",
            "~",
            "=",
            "a\nb",
            ".5",
            "é",
        ] {
            assert!(!plain_is_safe(unsafe_), "{unsafe_}");
        }
    }
}
