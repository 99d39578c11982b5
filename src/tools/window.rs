//! Spans of time as callers write them, and how far back they want to look. Pure.

use serde::{Deserialize, Deserializer, de::Error};

/// A span of time as people write it: `30m`, `6h`, `2d`, `1h30m`. At least a minute, at most 90 days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) seconds: i64,
    text: String,
}

const MOST_SECONDS: i64 = 90 * 86_400;

impl Window {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let seconds = seconds(text)?;
        if !(60..=MOST_SECONDS).contains(&seconds) {
            return Err(refusal(text, " from 1m to 90d"));
        }
        Ok(Self { seconds, text: text.trim().to_owned() })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// The length of a span in seconds, at least one.
///
/// # Errors
/// One sentence that says how a span is written.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    read(text).ok_or_else(|| refusal(text, ""))
}

fn refusal(text: &str, bounds: &str) -> String {
    let shown = crate::redact::shown(&text.chars().take(40).collect::<String>());
    format!("`{shown}` is no span of time{bounds}: write it as 30m, 6h, 2d or 1h30m")
}

fn read(text: &str) -> Option<i64> {
    let mut left = text.trim();
    let mut sum = 0_i64;
    while !left.is_empty() {
        let digits = left.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = left.split_at(digits);
        let unit = rest.chars().next()?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(factor)?)?;
        left = &rest[unit.len_utf8()..];
    }
    (sum > 0).then_some(sum)
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, seconds) in
            [("30m", 1_800), ("6h", 21_600), ("2d", 172_800), (" 1h30m ", 5_400), ("90s", 90)]
        {
            assert_eq!(Window::parse(text).map(|window| window.seconds), Ok(seconds), "{text}");
        }
        for text in ["", "30", "m", "-5m", "1y", "5 m", "1s", "91d", "99999999999999999999d", "5µ"] {
            let refused = Window::parse(text);
            assert!(refused.is_err_and(|sentence| sentence.contains("write it as 30m")), "{text}");
        }
        assert!(Window::parse("1s").is_err_and(|sentence| sentence.contains("from 1m to 90d")));
    }
}
