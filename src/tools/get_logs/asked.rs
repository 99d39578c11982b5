//! From when on lines are asked for.

use jiff::{SignedDuration, Timestamp};

/// `30s`, `10m`, `2h`, `1d`, `1h30m` before `now`, or a time by RFC 3339.
///
/// # Errors
/// One sentence that says what is allowed.
pub(super) fn since(asked: &str, now: Timestamp) -> Result<Timestamp, String> {
    let asked = asked.trim();
    if let Ok(time) = asked.parse::<Timestamp>() {
        if time > now {
            return Err(format!("`since` of get_logs lies in the future ({time}): it is {now:.0} now"));
        }
        return Ok(time);
    }
    let wrong = || {
        let asked = crate::redact::shown(&asked.chars().take(40).collect::<String>());
        format!(
            "`since` of get_logs must be a time span, 30s, 10m, 2h or 1d, or a time like {now:.0}, got `{asked}`"
        )
    };
    let seconds = seconds(asked).filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    now.checked_sub(SignedDuration::from_secs(seconds)).map_err(|_| wrong())
}

fn seconds(span: &str) -> Option<i64> {
    let mut rest = span;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let mut units = after.chars();
        let factor = match units.next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let part = number.parse::<i64>().ok()?.checked_mul(factor)?;
        total = total.checked_add(part)?;
        rest = units.as_str();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::{Timestamp, ToSpan};

    use super::since;

    #[test]
    fn since_is_a_span_or_a_time() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (asked, ago) in [("30s", 30), ("10m", 600), ("1h30m", 5_400), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(since(asked, now), Ok(now - ago.seconds()), "{asked}");
        }
        let time = "2026-11-21T09:00:00+01:00";
        assert_eq!(since(time, now), Ok("2026-11-21T08:00:00Z".parse().unwrap()));
        for wrong in ["", "10", "m", "1w", "-1s", "0s", "5é", "99999999999999999d", "yesterday", "2026-11-21"]
        {
            let error = since(wrong, now).unwrap_err();
            assert!(error.contains("must be a time span, 30s"), "{error}");
        }
        assert!(since("2027-01-01T00:00:00Z", now).unwrap_err().contains("in the future"));
    }
}
