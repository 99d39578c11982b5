//! JSON in the one form that RFC 8785 gives each value, so that equal records are equal bytes.

use serde_json::{Number, Value};

/// `value` as RFC 8785 writes it, on one line.
///
/// # Errors
/// Numbers that are not whole are refused: the record has none, and their canonical spelling is a matter of its own.
/// So are whole numbers that a double cannot hold.
pub(super) fn canonical(value: &Value) -> Result<String, serde_json::Error> {
    let mut text = String::with_capacity(512);
    write(value, &mut text)?;
    Ok(text)
}

fn write(value: &Value, out: &mut String) -> Result<(), serde_json::Error> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&whole(number)?),
        Value::String(text) => out.push_str(&string(text)?),
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            out.push('{');
            for (number, (name, value)) in members.into_iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                out.push_str(&string(name)?);
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Largest whole number that every reader of JSON understands.
const LARGEST: i64 = (1 << 53) - 1;

fn whole(number: &Number) -> Result<String, serde_json::Error> {
    match number.as_i64() {
        Some(whole) if (-LARGEST..=LARGEST).contains(&whole) => Ok(whole.to_string()),
        _ => Err(serde::ser::Error::custom(format!("{number} has no canonical form here"))),
    }
}

/// serde_json escapes what RFC 8785 escapes, in its spelling, and nothing else.
fn string(text: &str) -> Result<String, serde_json::Error> {
    serde_json::to_string(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::canonical;

    /// The sorting example of RFC 8785, section 3.2.3.
    #[test]
    fn members_stand_in_the_order_of_their_utf_16_units() {
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin o"
        });
        let text = canonical(&value).unwrap();
        let at = |word: &str| text.find(word).unwrap();
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Grinning", "Hebrew"].map(at);
        assert!(order.is_sorted(), "{text}");
    }

    /// The string of RFC 8785, section 3.2.2.2.
    #[test]
    fn strings_are_escaped_as_little_as_can_be() {
        let text = canonical(&json!("\u{20ac}$\u{f}\nA'B\"\\\\\"/")).unwrap();
        assert_eq!(text, "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
        assert_eq!(canonical(&json!("\u{8}\t\u{c}\r\u{7f}")).unwrap(), "\"\\b\\t\\f\\r\u{7f}\"");
    }

    #[test]
    fn whole_numbers_have_one_spelling_and_others_are_refused() {
        assert_eq!(canonical(&json!([0, -5, 9_007_199_254_740_991_i64])).unwrap(), "[0,-5,9007199254740991]");
        assert!(canonical(&json!(9_007_199_254_740_992_i64)).is_err());
        assert!(canonical(&json!(0.5)).is_err());
    }

    #[test]
    fn what_is_canonical_stays_as_it_is() {
        let text = r#"{"a":[true,null,{"b":1}],"z":""}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(canonical(&value).unwrap(), text);
    }
}
