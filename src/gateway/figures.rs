//! How a downstream does, in numbers, counted since the start of this process.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::breaker::Circuit;

/// Upper ends of the buckets of [`Latency`], in milliseconds; above the last one there is one more.
pub const BOUNDS: [u32; 12] = [2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000];

/// How a downstream stands at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Connections that are open.
    pub connections: usize,
    /// Client sessions whose calls go over them.
    pub sessions: usize,
    pub circuit: Circuit,
    /// When its lists were read last, be it before the start of this process.
    pub listed: Option<Timestamp>,
    pub latency: Latency,
}

/// How long its callers waited for an answer or an error, waiting for a turn included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Calls by [`BOUNDS`].
    pub buckets: [u64; BOUNDS.len() + 1],
    pub total: Duration,
}

impl Latency {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The bound that this share of the calls (0 to 1) kept, in milliseconds; nothing without calls, or when it is
    /// above all bounds.
    pub fn within(&self, share: f64) -> Option<u32> {
        let count = self.count();
        let mut seen = 0;
        let kept = self.buckets.iter().position(|bucket| {
            seen += bucket;
            #[allow(clippy::cast_precision_loss)]
            let reached = seen as f64 >= count as f64 * share;
            count > 0 && reached
        });
        BOUNDS.get(kept?).copied()
    }
}

/// Calls of one downstream.
#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: AtomicU64,
    errors: AtomicU64,
    micros: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

impl Counters {
    pub(super) fn count(&self, failed: bool, took: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.errors.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let at = BOUNDS.iter().position(|bound| took <= Duration::from_millis(u64::from(*bound)));
        if let Some(bucket) = self.buckets.get(at.unwrap_or(BOUNDS.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(super) fn latency(&self) -> Latency {
        let buckets =
            std::array::from_fn(|at| self.buckets.get(at).map_or(0, |bucket| bucket.load(Ordering::Relaxed)));
        Latency { buckets, total: Duration::from_micros(self.micros.load(Ordering::Relaxed)) }
    }
}

/// A call that is counted when this is dropped, also when its caller waits for it no longer: that is no error.
pub(super) struct Counting<'a> {
    counters: &'a Counters,
    since: Instant,
    failed: bool,
}

impl<'a> Counting<'a> {
    pub(super) fn begin(counters: &'a Counters) -> Self {
        Self { counters, since: Instant::now(), failed: false }
    }

    pub(super) fn end(mut self, failed: bool) {
        self.failed = failed;
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.counters.count(self.failed, self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counters, Counting, Latency};

    #[test]
    fn calls_are_counted_by_how_long_they_took() {
        let counters = Counters::default();
        for _ in 0..9 {
            counters.count(false, Duration::from_millis(4));
        }
        counters.count(true, Duration::from_secs(3600));
        let latency = counters.latency();
        assert_eq!((counters.calls(), counters.errors(), latency.count()), (10, 1, 10));
        assert_eq!(
            (latency.within(0.5), latency.within(0.9), latency.within(0.99)),
            (Some(5), Some(5), None)
        );
        assert_eq!(latency.total, Duration::from_secs(3600) + Duration::from_millis(36));
        assert_eq!(Latency::default().within(0.5), None);
    }

    #[test]
    fn a_call_that_nobody_waits_for_any_more_is_counted_too() {
        let counters = Counters::default();
        Counting::begin(&counters).end(true);
        drop(Counting::begin(&counters));
        assert_eq!((counters.calls(), counters.errors(), counters.latency().count()), (2, 1, 2));
    }
}
