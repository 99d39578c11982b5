//! What the status and the headers of an answer mean for the request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Answer, Effect};

#[derive(Debug)]
pub(super) enum Judged {
    Give(Answer),
    /// The token is wrong or has no rights.
    Refused(Answer),
    /// A redirect.
    Elsewhere,
    /// Whoever answers there could not show who it is; why.
    Untrusted(String),
    /// Nothing was done, and nothing is to be asked for so long.
    Limited(Duration),
    /// It is safe to ask again; why it must be.
    Again(String),
    /// It may have been done.
    Unsure(String),
}

/// When a forge says that there was too much, but not how long to wait.
const USUAL_WAIT: Duration = Duration::from_secs(5);

pub(super) fn judge(answer: Answer, effect: Effect, now: SystemTime) -> Judged {
    match answer.status().as_u16() {
        429 => Judged::Limited(wait(&answer, now).unwrap_or(USUAL_WAIT)),
        // GitHub says 403 for its limits as well.
        403 => match wait(&answer, now) {
            Some(wait) => Judged::Limited(wait),
            None => Judged::Refused(answer),
        },
        401 => Judged::Refused(answer),
        301 | 302 | 303 | 307 | 308 => Judged::Elsewhere,
        status @ (408 | 500..=599) => {
            let why = format!("it answers {status}");
            match effect {
                Effect::Same => Judged::Again(why),
                Effect::Once => Judged::Unsure(why),
            }
        }
        _ => Judged::Give(answer),
    }
}

/// How long the forge wants to be left alone, where it says so.
fn wait(answer: &Answer, now: SystemTime) -> Option<Duration> {
    let number = |name: &str| answer.header(name)?.trim().parse::<u64>().ok();
    // Dates are allowed too; none of the forges sends one.
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    if number("x-ratelimit-remaining").or_else(|| number("ratelimit-remaining")) != Some(0) {
        return None;
    }
    let reset = number("x-ratelimit-reset").or_else(|| number("ratelimit-reset"))?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // A second more, since the forge's clock is another one.
    Some(Duration::from_secs(reset.saturating_sub(now) + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderMap, HeaderName, StatusCode};

    use super::{Answer, Effect, judge};

    fn judged(status: u16, headers: &[(&'static str, &str)], effect: Effect) -> String {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let answer = Answer::new(StatusCode::from_u16(status).unwrap(), headers, Vec::new());
        let text = format!("{:?}", judge(answer, effect, UNIX_EPOCH + Duration::from_secs(1000)));
        text.split('{').next().unwrap_or_default().split(" ").next().unwrap_or_default().to_owned()
    }

    #[test]
    fn what_may_be_repeated_depends_on_what_it_does() {
        for (status, effect, expected) in [
            (200, Effect::Once, "Give(Answer"),
            (409, Effect::Once, "Give(Answer"),
            (422, Effect::Same, "Give(Answer"),
            (404, Effect::Same, "Give(Answer"),
            (401, Effect::Same, "Refused(Answer"),
            (403, Effect::Same, "Refused(Answer"),
            (302, Effect::Same, "Elsewhere"),
            (429, Effect::Once, "Limited(5s)"),
            (500, Effect::Same, "Again(\"it"),
            (503, Effect::Same, "Again(\"it"),
            (500, Effect::Once, "Unsure(\"it"),
            (504, Effect::Once, "Unsure(\"it"),
        ] {
            assert_eq!(judged(status, &[], effect), expected, "{status} {effect:?}");
        }
    }

    #[test]
    fn limits_are_read_from_the_headers() {
        for (status, headers, expected) in [
            (429, &[("retry-after", "7")][..], "Limited(7s)"),
            (403, &[("retry-after", "60")], "Limited(60s)"),
            (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")], "Limited(31s)"),
            (403, &[("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "1030")], "Refused(Answer"),
            (429, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "990")], "Limited(1s)"),
        ] {
            assert_eq!(judged(status, headers, Effect::Once), expected, "{headers:?}");
        }
    }
}
