//! How fast one caller may ask. The generic cell rate algorithm in a few lines; time comes from outside.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::caller::{Caller, Proof};

/// Callers that are kept before those are forgotten who may ask freely again.
const MANY: usize = 4_096;

/// So many requests a minute, and so many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub per_minute: NonZeroU32,
    pub burst: NonZeroU32,
}

/// What each caller has used of a limit.
#[derive(Debug)]
pub(super) struct Rate {
    limit: RateLimit,
    /// By caller: when what was asked is used up.
    used_until: Mutex<HashMap<(Proof, String), Instant>>,
}

impl Rate {
    pub(super) fn of(limit: RateLimit) -> Self {
        Self { limit, used_until: Mutex::default() }
    }

    pub(super) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Counts one request.
    ///
    /// # Errors
    /// How long to wait, when it is one too many; that one is not counted.
    pub(super) fn take(&self, caller: &Caller, now: Instant) -> Result<(), Duration> {
        let RateLimit { per_minute, burst } = self.limit;
        let each = Duration::from_secs(60) / per_minute.get();
        let ahead = each.saturating_mul(burst.get());
        let mut all = self.used_until.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MANY {
            all.retain(|_, used_until| *used_until > now);
        }
        let used_until = all.entry((caller.proof, caller.user.clone())).or_insert(now);
        let next = (*used_until).max(now) + each;
        match next.duration_since(now).checked_sub(ahead) {
            Some(over) if !over.is_zero() => Err(over),
            _ => {
                *used_until = next;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        num::NonZeroU32,
        time::{Duration, Instant},
    };

    use super::{Rate, RateLimit};
    use crate::caller::{Caller, Proof};

    #[test]
    fn a_burst_passes_then_one_at_a_time_and_callers_do_not_share() {
        let [per_minute, burst] = [60, 3].map(|number| NonZeroU32::new(number).unwrap());
        let rate = Rate::of(RateLimit { per_minute, burst });
        let ann = Caller { user: "ann".to_owned(), proof: Proof::Oidc, ..Caller::anonymous() };
        let now = Instant::now();
        for _ in 0..3 {
            rate.take(&ann, now).unwrap();
        }
        assert_eq!(rate.take(&ann, now), Err(Duration::from_secs(1)));
        assert_eq!(rate.take(&Caller::anonymous(), now), Ok(()));
        let later = now + Duration::from_secs(1);
        rate.take(&ann, later).unwrap();
        assert!(rate.take(&ann, later).is_err());
        let much_later = now + Duration::from_secs(3600);
        for _ in 0..3 {
            rate.take(&ann, much_later).unwrap();
        }
        assert!(rate.take(&ann, much_later).is_err(), "pauses are not saved up");
    }
}
