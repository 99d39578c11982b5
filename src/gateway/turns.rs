//! How many calls of one downstream run at once. The limit may change while calls run.

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Calls that may wait for their turn.
const WAITING: usize = 256;

#[derive(Debug)]
pub(super) struct Turns {
    running: Semaphore,
    size: Mutex<Size>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Size {
    limit: usize,
    /// Turns that are still taken and no longer given: the limit was lowered meanwhile.
    owed: usize,
}

/// One call's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    permit: Option<SemaphorePermit<'a>>,
}

/// So many run already, and as many as may wait do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crowded;

impl Turns {
    pub(super) fn new(limit: NonZeroUsize) -> Self {
        let limit = limit.get();
        Self {
            running: Semaphore::new(limit),
            size: Mutex::new(Size { limit, owed: 0 }),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A turn within this limit; waits for it in the order of coming.
    pub(super) async fn take(&self, limit: NonZeroUsize) -> Result<Turn<'_>, Crowded> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.resize(limit.get());
        if let Ok(permit) = self.running.try_acquire() {
            return Ok(Turn { turns: self, permit: Some(permit) });
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= WAITING {
            return Err(Crowded);
        }
        let permit = self.running.acquire().await.map_err(|_| Crowded)?;
        Ok(Turn { turns: self, permit: Some(permit) })
    }

    fn resize(&self, limit: usize) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let Size { limit: known, owed } = &mut *size;
        if limit > *known {
            let more = limit - *known;
            let forgiven = more.min(*owed);
            *owed -= forgiven;
            self.running.add_permits(more - forgiven);
        } else if limit < *known {
            let fewer = *known - limit;
            *owed += fewer - self.running.forget_permits(fewer);
        }
        *known = limit;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut size = self.turns.size.lock().unwrap_or_else(PoisonError::into_inner);
        if size.owed > 0 {
            size.owed -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{num::NonZeroUsize, time::Duration};

    use super::Turns;

    fn of(limit: usize) -> NonZeroUsize {
        NonZeroUsize::new(limit).unwrap()
    }

    /// Whether a turn is to be had at once.
    async fn free(turns: &Turns, limit: usize) -> bool {
        tokio::time::timeout(Duration::from_millis(1), turns.take(of(limit))).await.is_ok()
    }

    #[tokio::test]
    async fn as_many_run_as_the_limit_says_and_the_next_waits() {
        let turns = Turns::new(of(2));
        let (one, _two) = (turns.take(of(2)).await.unwrap(), turns.take(of(2)).await.unwrap());
        assert!(!free(&turns, 2).await);
        drop(one);
        assert!(free(&turns, 2).await);
    }

    #[tokio::test]
    async fn a_lowered_limit_holds_once_those_that_run_are_done_and_a_raised_one_at_once() {
        let turns = Turns::new(of(3));
        let (one, two) = (turns.take(of(3)).await.unwrap(), turns.take(of(3)).await.unwrap());
        assert!(!free(&turns, 1).await);
        drop(one);
        assert!(!free(&turns, 1).await, "one runs, and one may");
        assert!(free(&turns, 2).await);
        assert!(!free(&turns, 1).await);
        drop(two);
        assert!(free(&turns, 1).await);
        let _three = turns.take(of(1)).await.unwrap();
        assert!(!free(&turns, 1).await);
    }
}
