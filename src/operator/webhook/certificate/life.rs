//! When a certificate is made, trusted and used, as a plain function of dates.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Certificates are valid from so long before they were made, for clocks that are behind.
pub(super) const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// The longest that API servers are given to hear of a new authority.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);

/// Of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dates {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Dates {
    pub(super) fn holds_at(self, now: Timestamp) -> bool {
        now < self.not_after
    }

    fn made(self) -> Timestamp {
        self.not_before.saturating_add(SKEW).unwrap_or(self.not_before)
    }

    fn life(self) -> SignedDuration {
        self.not_after.duration_since(self.made())
    }

    /// At two thirds of its life.
    fn renew_at(self) -> Timestamp {
        self.made().saturating_add(self.life() * 2 / 3).unwrap_or(self.not_after)
    }

    fn settled_after(self) -> SignedDuration {
        (self.life() / 10).min(SETTLED)
    }
}

/// What the Secret and the API server hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Presented to the API server; none when it is for other names.
    pub current: Option<Dates>,
    /// Made, and not presented yet.
    pub next: Option<Dates>,
    /// How long the API server has been told of all authorities; none when it has not.
    pub trusted_for: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing can be presented: make a certificate and present it.
    Issue,
    /// Make the next one and its authority; it is not presented yet.
    Prepare,
    /// Tell the API server of all authorities.
    Publish,
    /// Present the next one.
    Switch,
    Rest,
}

pub(super) fn decide(standing: &Standing, now: Timestamp) -> Step {
    let Standing { current, next, trusted_for } = *standing;
    let next = next.filter(|next| next.holds_at(now));
    let Some(current) = current.filter(|current| current.holds_at(now)) else {
        return if next.is_some() { Step::Switch } else { Step::Issue };
    };
    let Some(trusted_for) = trusted_for else { return Step::Publish };
    let trusted_for = SignedDuration::try_from(trusted_for).unwrap_or(SignedDuration::MAX);
    match next {
        Some(next) if trusted_for >= next.settled_after() => Step::Switch,
        Some(_) => Step::Rest,
        None if now >= current.renew_at() => Step::Prepare,
        None => Step::Rest,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::{Dates, SKEW, SignedDuration, Standing, Step, Timestamp, decide};

    const HOUR: i64 = 3_600;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hours * HOUR).unwrap()
    }

    /// Made at that hour, for 90 hours.
    fn made(hours: i64) -> Dates {
        Dates { not_before: at(hours) - SKEW, not_after: at(hours + 90) }
    }

    fn standing(current: Option<Dates>, next: Option<Dates>, trusted_seconds: Option<u64>) -> Standing {
        Standing { current, next, trusted_for: trusted_seconds.map(Duration::from_secs) }
    }

    #[test]
    fn without_a_certificate_one_is_made_and_then_told_of() {
        assert_eq!(decide(&standing(None, None, Some(99)), at(0)), Step::Issue);
        assert_eq!(decide(&standing(Some(made(0)), None, None), at(0)), Step::Publish);
        assert_eq!(decide(&standing(Some(made(0)), None, Some(0)), at(0)), Step::Rest);
    }

    #[test]
    fn at_two_thirds_of_its_life_the_next_is_made_and_trusted_before_it_is_used() {
        let current = Some(made(0));
        assert_eq!(decide(&standing(current, None, Some(999)), at(59)), Step::Rest);
        assert_eq!(decide(&standing(current, None, Some(999)), at(60)), Step::Prepare);
        let next = Some(made(60));
        assert_eq!(decide(&standing(current, next, None), at(60)), Step::Publish);
        assert_eq!(decide(&standing(current, next, Some(59)), at(60)), Step::Rest);
        assert_eq!(decide(&standing(current, next, Some(60)), at(60)), Step::Switch);
    }

    #[test]
    fn what_has_ended_is_not_waited_for() {
        assert_eq!(decide(&standing(Some(made(0)), None, Some(1)), at(90)), Step::Issue);
        assert_eq!(decide(&standing(Some(made(0)), Some(made(60)), None), at(91)), Step::Switch);
        assert_eq!(decide(&standing(Some(made(0)), Some(made(60)), None), at(151)), Step::Issue);
    }

    #[test]
    fn a_short_life_settles_sooner() {
        let short = Dates { not_before: at(0) - SKEW, not_after: at(0) + SignedDuration::from_secs(30) };
        assert_eq!(short.settled_after(), SignedDuration::from_secs(3));
        assert_eq!(short.renew_at(), at(0) + SignedDuration::from_secs(20));
    }
}
