//! From when on lines are asked for.

use jiff::{SignedDuration, Timestamp};

use crate::tools::window;

/// A span such as `30s` or `1h30m` before `now`, or a time by RFC 3339.
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
    let wrong = |why| format!("`since` of get_logs: {why}, or a time like {now:.0}");
    let seconds = window::seconds(asked).map_err(wrong)?;
    now.checked_sub(SignedDuration::from_secs(seconds)).map_err(|_| {
        format!("`since` of get_logs: {asked} reaches back before all time, ask for a shorter span")
    })
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
        for wrong in ["", "10", "m", "1y", "-1s", "0s", "5é", "99999999999999999d", "yesterday", "2026-11-21"]
        {
            let error = since(wrong, now).unwrap_err();
            assert!(
                error.contains("write it as 30m, 6h, 2d or 1h30m, or a time like 2026-11-21T12:00:00Z"),
                "{error}"
            );
        }
        assert!(since("2027-01-01T00:00:00Z", now).unwrap_err().contains("in the future"));
    }
}
