//! One of all replicas writes: the holder of a Lease. Losing it stops writes before the next one.
//!
//! [`evaluate`] decides, the [`Keeper`] does it: every write of the Lease is a PUT with the resourceVersion that
//! was read, so of two waiters one fails. A foreign Lease counts as expired when *we* have seen it unchanged for
//! its whole duration; clocks of two machines are never compared.

mod evaluate;
mod keeper;

pub(super) use evaluate::{Decision, Seen, evaluate};
pub(super) use keeper::Keeper;

use std::time::Duration;

use tokio::time::Instant;

/// Whether this process may write at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leadership {
    #[default]
    Following,
    /// It may, until then; each renewal moves the moment.
    Leading { until: Instant },
}

impl Leadership {
    pub fn holds_at(self, now: Instant) -> bool {
        matches!(self, Self::Leading { until } if now < until)
    }
}

/// How long a Lease is held and how often it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Others may take the Lease when it was not renewed for this long. Whole seconds.
    pub duration: Duration,
    /// The holder stops writing when its last renewal is older than this; less than `duration`.
    pub deadline: Duration,
    pub renew_every: Duration,
    /// Who waits looks this often, so that a Lease which was given back is taken at once.
    pub look_every: Duration,
}

impl Timing {
    /// From how long a silent holder is waited for. Another leads at the latest one look later.
    pub fn of_duration(duration: Duration) -> Self {
        Self {
            duration,
            deadline: duration * 7 / 10,
            renew_every: duration / 5,
            look_every: (duration / 10).min(Duration::from_secs(1)),
        }
    }
}

impl Default for Timing {
    /// After a kill another leads within 12 seconds.
    fn default() -> Self {
        Self::of_duration(Duration::from_secs(10))
    }
}
