//! What of a file may be shown. The file that is pushed stays as asked; the difference, the `Field:` lines, the
//! record and the commit's message show no value that a reading tool would not show.

use serde_json::Value;

use super::documents;
use crate::redact;

/// How every placeholder of [`redact`] begins.
const PLACEHOLDER: &str = "<redacted:";

/// A document as a reading tool shows it.
pub(super) fn document(document: &Value) -> Value {
    let mut shown = document.clone();
    redact::value(&mut shown);
    shown
}

/// The secrets of one file, before and after its change, each with what stands in its place.
#[derive(Debug, Default)]
pub(super) struct Veil {
    /// Longest first, so that none is cut by one that it contains.
    secrets: Vec<(String, String)>,
}

impl Veil {
    /// Collects what object-aware redaction would replace in any document of the texts.
    pub(super) fn of(texts: &[&str]) -> Self {
        let mut secrets = Vec::new();
        for document in texts.iter().filter_map(|text| documents::read(text).ok()).flatten() {
            replaced(&document.value, &self::document(&document.value), &mut secrets);
        }
        secrets.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    /// `text` without the secrets.
    pub(super) fn over(&self, text: &str) -> String {
        let veiled = self
            .secrets
            .iter()
            .fold(text.to_owned(), |text, (secret, placeholder)| replace_words(&text, secret, placeholder));
        redact::text(&veiled).into_owned()
    }

    /// A whole file without the secrets; `None` when one might still be in it, however it is written there.
    pub(super) fn over_file(&self, text: &str) -> Option<String> {
        let shown = self.over(text);
        let documents = documents::read(&shown).ok()?;
        documents.iter().all(|found| document(&found.value) == found.value).then_some(shown)
    }
}

/// The strings that became others, with what they became.
fn replaced(before: &Value, after: &Value, secrets: &mut Vec<(String, String)>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, before) in before {
                if let Some(after) = after.get(key) {
                    replaced(before, after, secrets);
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            before.iter().zip(after).for_each(|(before, after)| replaced(before, after, secrets));
        }
        (before, after) if before == after => {}
        (before, Value::String(after)) => {
            let text = before.as_str().map_or_else(|| before.to_string(), ToOwned::to_owned);
            // A secret inside a longer text is found there again by its shape.
            if is_placeholder(after) {
                secrets.extend(spellings(&text).into_iter().map(|text| (text, after.clone())));
            }
        }
        _ => {}
    }
}

/// The ways in which a value can stand in a YAML file.
fn spellings(text: &str) -> Vec<String> {
    let escaped = Value::from(text).to_string();
    let escaped = escaped.trim_matches('"').to_owned();
    let mut all = vec![text.to_owned(), escaped, text.replace('\'', "''")];
    all.extend(text.lines().map(|line| line.trim().to_owned()).filter(|line| line.len() > 3));
    all.retain(|text| !text.trim().is_empty());
    all
}

/// Whether the text is one placeholder and nothing else.
fn is_placeholder(text: &str) -> bool {
    text.strip_prefix(PLACEHOLDER)
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|digest| digest.chars().all(|c| c.is_ascii_hexdigit()))
}

/// Replaces `secret` where it is not a part of a longer word: a short one would tear others apart.
fn replace_words(text: &str, secret: &str, placeholder: &str) -> String {
    let in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let end = at + secret.len();
        let before = rest[..at].chars().next_back().or_else(|| out.chars().next_back());
        let joined = (in_word(before) && in_word(secret.chars().next()))
            || (in_word(rest[end..].chars().next()) && in_word(secret.chars().next_back()));
        out.push_str(&rest[..at]);
        // What stands in a placeholder already is no secret of its own.
        let inside = out.rfind(PLACEHOLDER).is_some_and(|from| !out[from..].contains('>'));
        out.push_str(if joined || inside { secret } else { placeholder });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Whether a value, or one inside it, is a stand-in for a secret instead of a value.
pub(super) fn holds_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(PLACEHOLDER),
        Value::Array(items) => items.iter().any(holds_placeholder),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.contains(PLACEHOLDER) || holds_placeholder(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// For a commit, which outlives the key behind the digests: placeholders in words.
pub(super) fn in_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(PLACEHOLDER) {
        let Some(end) = rest[at..].find('>').map(|end| at + end + 1) else { break };
        out.push_str(&rest[..at]);
        out.push_str("(secret value)");
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{Veil, holds_placeholder, in_words};

    #[test]
    fn secrets_are_veiled_however_they_are_written() {
        let file = "env:\n- {name: REDIS_PASSWORD, value: hunter2}\n- name: API_TOKEN\n  value: 'it''s \"me\"'\n- name: APP_SECRET\n  value: |\n    first-line\n    second-line\n- name: PORT\n  value: \"80\"\n---\nkind: Secret\ndata: {pin: 1234, port: c2VjcmV0}\n";
        let shown = Veil::of(&[file]).over_file(file).unwrap();
        for secret in ["hunter2", "it''s", "first-line", "second-line", "1234", "c2VjcmV0"] {
            assert!(!shown.contains(secret), "{secret} is in:\n{shown}");
        }
        assert!(shown.contains("name: PORT\n  value: \"80\""), "{shown}");
    }

    #[test]
    fn what_cannot_be_veiled_surely_is_not_shown() {
        // Folded lines are one value that stands nowhere as it is.
        let file = "env:\n- name: APP_SECRET\n  value: one two\n    three four\n";
        assert_eq!(Veil::of(&[file]).over_file(file), None);
    }

    #[test]
    fn a_short_secret_tears_no_word_apart() {
        let file = "env: [{name: DB_PASSWORD, value: web}]\nname: website\n";
        let shown = Veil::of(&[file]).over_file(file).unwrap();
        assert!(shown.contains("website") && !shown.contains("value: web"), "{shown}");
    }

    #[test]
    fn placeholders_are_known_and_said_in_words() {
        assert!(holds_placeholder(&json!({"a": [{"b": "x <redacted:ab12cd>"}]})));
        assert!(!holds_placeholder(&json!({"a": ["x", 1, null]})));
        assert_eq!(
            in_words("\"<redacted:ab12cd>\", <redacted:000000>."),
            "\"(secret value)\", (secret value)."
        );
    }
}
