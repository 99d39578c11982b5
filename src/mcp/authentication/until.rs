//! How long a caller's token holds: the end of every stream that was opened with it.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use jiff::Timestamp;

/// A token that can be taken back before its time is asked about again this often while a stream is open. It is
/// also the longest single sleep, so that a clock that was set is seen.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Stands in the extensions of a request beside its [`Caller`](crate::caller::Caller), and not within: a session
/// belongs to a caller, whichever of their tokens comes with a request.
#[derive(Clone, Default)]
pub(in crate::mcp) struct Until {
    ends: Option<Timestamp>,
    standing: Option<Arc<dyn Standing>>,
}

/// Whether a token that was good still is.
pub(super) trait Standing: Send + Sync {
    /// `true` also when it cannot be told now.
    fn holds(&self) -> BoxFuture<'_, bool>;
}

impl Until {
    /// A token without an end.
    pub(super) fn always() -> Self {
        Self::default()
    }

    pub(super) fn at(ends: Option<Timestamp>) -> Self {
        Self { ends, standing: None }
    }

    /// Also ends when `standing` says that the token does not hold any more.
    pub(super) fn and_while(self, standing: impl Standing + 'static) -> Self {
        Self { standing: Some(Arc::new(standing)), ..self }
    }

    /// Returns when the token has ended.
    pub(in crate::mcp) async fn passed(&self) {
        self.passed_asking(ASK_AGAIN).await;
    }

    async fn passed_asking(&self, every: Duration) {
        if self.ends.is_none() && self.standing.is_none() {
            return std::future::pending().await;
        }
        loop {
            let left = self.ends.map_or(every, |ends| left(ends, Timestamp::now()));
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(every)).await;
            if left < every {
                continue;
            }
            if let Some(standing) = &self.standing
                && !standing.holds().await
            {
                return;
            }
        }
    }
}

/// Zero when it is over.
pub(super) fn left(ends: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(ends.duration_since(now)).unwrap_or_default()
}

impl fmt::Debug for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until").field("ends", &self.ends).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::BoxFuture;
    use jiff::Timestamp;

    use super::{Standing, Until, left};

    struct TakenBack;

    impl Standing for TakenBack {
        fn holds(&self) -> BoxFuture<'_, bool> {
            Box::pin(std::future::ready(false))
        }
    }

    #[test]
    fn nothing_is_left_of_what_is_over() {
        let at = |second| Timestamp::from_second(second).unwrap_or(Timestamp::MIN);
        assert_eq!(left(at(100), at(90)), Duration::from_secs(10));
        assert_eq!(left(at(90), at(100)), Duration::ZERO);
        assert!(left(Timestamp::MAX, at(0)) > Duration::from_secs(1 << 32));
    }

    #[tokio::test]
    async fn a_token_that_is_taken_back_ends_before_its_time() {
        let until = Until::at(Some(Timestamp::MAX)).and_while(TakenBack);
        let passed = until.passed_asking(Duration::from_millis(1));
        assert!(tokio::time::timeout(Duration::from_secs(10), passed).await.is_ok());
    }

    #[tokio::test]
    async fn what_has_ended_has_passed_at_once() {
        Until::at(Some(Timestamp::UNIX_EPOCH)).passed().await;
    }
}
