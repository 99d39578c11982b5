//! A length of time, written as `500ms`, `60s`, `5m` or `1h`.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How it is written; which lengths a field allows says the field's own rule.
pub(super) const PATTERN: &str = "^[1-9][0-9]{0,7}(ms|s|m|h)$";

/// From 1 ms to 24 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    const LONGEST: Duration = Duration::from_hours(24);

    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub const fn minutes(minutes: u64) -> Self {
        Self(Duration::from_mins(minutes))
    }

    /// # Errors
    /// What follows the field's name in a sentence: how a length of time is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a duration: write a number and a unit, such as 500ms, 60s or 5m, at most 24h"
            )
        };
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (digits, unit) = text.split_at(split);
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let millis_per_unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let millis = number.checked_mul(millis_per_unit).ok_or_else(wrong)?;
        let duration = Duration::from_millis(millis);
        if duration.is_zero() || duration > Self::LONGEST {
            return Err(wrong());
        }
        Ok(Self(duration))
    }

    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1_000) { write!(f, "{}s", millis / 1_000) } else { write!(f, "{millis}ms") }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 10 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::Span;

    #[test]
    fn a_number_and_a_unit_is_a_length_of_time() {
        assert_eq!(Span::parse("500ms").unwrap().duration(), Duration::from_millis(500));
        assert_eq!(Span::parse("60s").unwrap().duration(), Duration::from_secs(60));
        assert_eq!(Span::parse("5m").unwrap().to_string(), "300s");
        assert_eq!(Span::parse("24h").unwrap().duration(), Duration::from_secs(86_400));
        assert_eq!(Span::parse("24h").unwrap(), Span::minutes(24 * 60));
    }

    #[test]
    fn anything_else_says_how_it_is_written() {
        for text in ["", "60", "s", "0s", "-1s", "1.5s", "25h", "1d", "99999999999999999999s"] {
            let error = Span::parse(text).unwrap_err();
            assert!(error.contains("write a number and a unit"), "{text}: {error}");
        }
    }
}
