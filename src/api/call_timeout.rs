//! How long a call may take, written as `500ms`, `60s`, `5m` or `1h`.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const PATTERN: &str = "^[1-9][0-9]{0,5}(ms|s|m|h)$";

/// From 1 ms to 24 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTimeout(Duration);

impl CallTimeout {
    const LONGEST: Duration = Duration::from_hours(24);

    /// # Errors
    /// One sentence that says how a duration is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "callTimeout `{text}` is not a duration: write a number and a unit, such as 500ms, 60s or 5m, at most 24h"
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

    pub fn duration(self) -> Duration {
        self.0
    }
}

impl Default for CallTimeout {
    fn default() -> Self {
        Self(Duration::from_mins(1))
    }
}

impl fmt::Display for CallTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1_000) { write!(f, "{}s", millis / 1_000) } else { write!(f, "{millis}ms") }
    }
}

impl Serialize for CallTimeout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CallTimeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for CallTimeout {
    fn schema_name() -> Cow<'static, str> {
        "CallTimeout".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 8,
            "x-kubernetes-validations": [{
                "rule": format!("self.matches('{PATTERN}') && duration(self) <= duration('24h')"),
                "message": "spec.gateway.callTimeout must be a number and a unit, such as 500ms, 60s or 5m, and at most 24h: write it that way",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::CallTimeout;

    #[test]
    fn a_number_and_a_unit_is_a_timeout() {
        assert_eq!(CallTimeout::parse("500ms").unwrap().duration(), Duration::from_millis(500));
        assert_eq!(CallTimeout::parse("60s").unwrap().duration(), Duration::from_secs(60));
        assert_eq!(CallTimeout::parse("5m").unwrap().to_string(), "300s");
        assert_eq!(CallTimeout::parse("24h").unwrap().duration(), Duration::from_secs(86_400));
    }

    #[test]
    fn anything_else_says_how_it_is_written() {
        for text in ["", "60", "s", "0s", "-1s", "1.5s", "25h", "1d", "99999999999999999999s"] {
            let error = CallTimeout::parse(text).unwrap_err();
            assert!(error.contains("write a number and a unit"), "{text}: {error}");
        }
    }
}
