//! What to do about a Lease, as a plain function.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use tokio::time::Instant;

/// A Lease as it was read, and since when we have seen it just so.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub spec: LeaseSpec,
    pub resource_version: String,
    pub since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nobody holds it, or its holder has been silent for too long.
    Acquire,
    /// We hold it.
    Renew,
    /// Somebody else holds it; not before this moment can it have expired.
    WaitUntil(Instant),
}

/// `None` for a Lease that does not exist.
pub(crate) fn evaluate(lease: Option<&Seen>, identity: &str, now: Instant) -> Decision {
    let Some(Seen { spec, since, resource_version: _ }) = lease else {
        return Decision::Acquire;
    };
    match spec.holder_identity.as_deref() {
        None | Some("") => Decision::Acquire,
        Some(holder) if holder == identity => Decision::Renew,
        Some(_) => {
            let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
            let expires = *since + Duration::from_secs(seconds);
            if expires <= now { Decision::Acquire } else { Decision::WaitUntil(expires) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use tokio::time::Instant;

    use super::{Decision, Seen, evaluate};

    fn held_by(holder: &str, since: Instant) -> Seen {
        Seen {
            spec: LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(15),
                ..LeaseSpec::default()
            },
            resource_version: "7".to_owned(),
            since,
        }
    }

    #[test]
    fn a_missing_lease_is_acquired() {
        assert_eq!(evaluate(None, "a", Instant::now()), Decision::Acquire);
    }

    #[test]
    fn a_lease_that_was_given_back_is_acquired() {
        let now = Instant::now();
        assert_eq!(evaluate(Some(&held_by("", now)), "a", now), Decision::Acquire);
    }

    #[test]
    fn our_own_lease_is_renewed_even_when_it_has_expired() {
        let since = Instant::now();
        let now = since + Duration::from_secs(60);
        assert_eq!(evaluate(Some(&held_by("a", since)), "a", now), Decision::Renew);
    }

    #[test]
    fn a_foreign_lease_is_waited_for_until_it_was_silent_for_its_duration() {
        let since = Instant::now();
        let expires = since + Duration::from_secs(15);
        let lease = held_by("b", since);
        let just_before = expires - Duration::from_millis(1);
        assert_eq!(evaluate(Some(&lease), "a", just_before), Decision::WaitUntil(expires));
        assert_eq!(evaluate(Some(&lease), "a", expires), Decision::Acquire);
    }
}
