//! When the connections to a server are asked whether they live: those of many servers one after another. All at once took a
//! fifth more memory each time.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How often a connection that does not tell its end is asked.
const EVERY: Duration = Duration::from_secs(20);

/// Beats first after a part of the time that is left to chance.
pub(super) fn pulse() -> Interval {
    let chance = RandomState::new().hash_one(()) % EVERY.as_millis() as u64;
    let mut pulse = interval_at(Instant::now() + Duration::from_millis(chance), EVERY);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pulse
}
