//! Secrets in JSON that must otherwise stay as it came, byte for byte.

use std::fmt;

use serde::{Deserializer, de::Visitor};
use serde_json::value::RawValue;

use super::{name, pattern, token};

/// JSON in which secrets were found.
#[derive(Debug)]
pub struct Redacted {
    pub json: Box<RawValue>,
    /// How many secrets were taken out.
    pub count: usize,
}

/// `json` without the secrets in its strings. Member order, duplicate keys, white space and the spelling of
/// numbers stay; without a secret the very same value comes back.
pub fn raw(json: Box<RawValue>) -> Box<RawValue> {
    match scan(&json) {
        Some(Redacted { json, count: _ }) => json,
        None => json,
    }
}

/// One scan over the whole text; nothing when no secret is in it, and then nothing was parsed or copied.
pub fn scan(json: &RawValue) -> Option<Redacted> {
    let text = json.get();
    if !pattern::hits(text) {
        return None;
    }
    let mut count = 0;
    let mut out = String::with_capacity(text.len());
    let mut key_of_secret = false;
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        out.push_str(&rest[..start]);
        let literal = literal(&rest[start..]);
        let after = &rest[start + literal.len()..];
        let is_key = after.trim_start().starts_with(':');
        let replaced = replaced(literal, key_of_secret && !is_key);
        count += marks(&replaced).saturating_sub(marks(literal));
        out.push_str(&replaced);
        key_of_secret =
            is_key && holds_secret(literal) && after.trim_start()[1..].trim_start().starts_with('"');
        rest = after;
    }
    out.push_str(rest);
    let json = RawValue::from_string(out).ok().filter(|_| count > 0)?;
    Some(Redacted { json, count })
}

fn marks(literal: &str) -> usize {
    literal.matches("<redacted:").count()
}

/// The string literal that `text` begins with, quotes included.
fn literal(text: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return &text[..=at],
            _ => {}
        }
    }
    text
}

fn holds_secret(key: &str) -> bool {
    decoded(key).is_some_and(|key| name::of_secret_field(&key))
}

/// The text of a string literal. A program that cuts a string in the middle of a character leaves half an escape
/// (`\ud83d`), which no Rust string can hold: U+FFFD stands in its place, so that what is beside it is looked at.
fn decoded(literal: &str) -> Option<String> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }
    serde_json::Deserializer::from_str(literal).deserialize_bytes(Text).ok()
}

fn replaced(literal: &str, is_secret: bool) -> String {
    if !is_secret && !pattern::hits(literal) {
        return literal.to_owned();
    }
    let Some(text) = decoded(literal) else { return literal.to_owned() };
    let safe = if is_secret { token(&text) } else { pattern::replace(&text).into_owned() };
    if safe == text {
        return literal.to_owned();
    }
    serde_json::to_string(&safe).unwrap_or_else(|_| "\"<redacted>\"".to_owned())
}
