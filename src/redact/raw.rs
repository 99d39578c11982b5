//! Secrets in JSON that must otherwise stay as it came, byte for byte.

use serde_json::value::RawValue;

use super::{name, pattern, token};

/// `json` without the secrets in its strings. Member order, duplicate keys, white space and the spelling of
/// numbers stay; without a secret the very same value comes back.
pub fn raw(json: Box<RawValue>) -> Box<RawValue> {
    let text = json.get();
    if !pattern::hits(text) {
        return json;
    }
    let mut out = String::with_capacity(text.len());
    let mut key_of_secret = false;
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        out.push_str(&rest[..start]);
        let literal = literal(&rest[start..]);
        let after = &rest[start + literal.len()..];
        let is_key = after.trim_start().starts_with(':');
        out.push_str(&replaced(literal, key_of_secret && !is_key));
        key_of_secret =
            is_key && holds_secret(literal) && after.trim_start()[1..].trim_start().starts_with('"');
        rest = after;
    }
    out.push_str(rest);
    RawValue::from_string(out).unwrap_or(json)
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
    serde_json::from_str::<String>(key).is_ok_and(|key| name::of_secret_field(&key))
}

fn replaced(literal: &str, is_secret: bool) -> String {
    if !is_secret && !pattern::hits(literal) {
        return literal.to_owned();
    }
    let Ok(text) = serde_json::from_str::<String>(literal) else { return literal.to_owned() };
    let safe = if is_secret { token(&text) } else { pattern::replace(&text).into_owned() };
    if safe == text {
        return literal.to_owned();
    }
    serde_json::to_string(&safe).unwrap_or_else(|_| "\"<redacted>\"".to_owned())
}
