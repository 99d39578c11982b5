//! What waits for the answers of clients: so much in all, so much of one caller, and nothing for ever.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// In all.
const MOST: usize = 1_024;
/// Of one caller who has a name: nobody uses up what is there for all.
const MOST_OF_ONE: usize = MOST / 4;

/// Cheap to clone.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    all: Arc<Mutex<HashMap<u64, One<T>>>>,
    patience: Duration,
}

impl<T> Clone for Waiting<T> {
    fn clone(&self) -> Self {
        Self { all: self.all.clone(), patience: self.patience }
    }
}

#[derive(Debug)]
struct One<T> {
    what: T,
    round: u32,
    caller: Option<String>,
    until: Instant,
}

/// So many wait already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full(pub(super) usize);

impl<T: Send + 'static> Waiting<T> {
    /// An answer is waited for so long.
    pub(super) fn new(patience: Duration) -> Self {
        Self { all: Arc::default(), patience }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, One<T>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what waits under this number, if it waits in this round.
    pub(super) fn take(&self, number: u64, round: u32) -> Option<T> {
        let mut all = self.all();
        all.get(&number).filter(|one| one.round == round)?;
        all.remove(&number).map(|one| one.what)
    }

    /// Keeps it until it is taken, or has waited for long enough. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When there are too many, in all or of this caller; it is dropped.
    pub(super) fn put(&self, number: u64, round: u32, caller: Option<String>, what: T) -> Result<(), Full> {
        let mut all = self.all();
        if all.len() >= MOST {
            return Err(Full(MOST));
        }
        if caller.is_some() && all.values().filter(|one| one.caller == caller).count() >= MOST_OF_ONE {
            return Err(Full(MOST_OF_ONE));
        }
        let is_first = all.is_empty();
        all.insert(number, One { what, round, caller, until: Instant::now() + self.patience });
        drop(all);
        if is_first {
            tokio::spawn(self.clone().sweep());
        }
        Ok(())
    }

    /// Drops all of this kind.
    pub(super) fn let_go(&self, is_of: impl Fn(&T) -> bool) {
        let over: Vec<_> = self.all().extract_if(|_, one| is_of(&one.what)).collect();
        // Not under the lock: it may take a moment.
        drop(over);
    }

    /// Until none is left.
    async fn sweep(self) {
        loop {
            tokio::time::sleep(self.patience / 60).await;
            let now = Instant::now();
            let mut all = self.all();
            let over: Vec<_> = all.extract_if(|_, one| one.until <= now).collect();
            let is_last = all.is_empty();
            drop(all);
            drop(over);
            if is_last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::{sync::Arc, time::Duration};

    use super::{Full, MOST, MOST_OF_ONE, Waiting};

    async fn is_dropped(kept: &Arc<()>) {
        let gone = async {
            while Arc::strong_count(kept) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("nobody waits any more");
    }

    #[tokio::test]
    async fn it_is_found_once_in_its_round_and_not_for_ever() {
        let waiting = Waiting::new(Duration::from_secs(600));
        waiting.put(7, 2, None, "a").unwrap();
        assert_eq!(waiting.take(7, 1), None, "an answer of before");
        assert_eq!(waiting.take(7, 2), Some("a"));
        assert_eq!(waiting.take(7, 2), None);

        let (waiting, kept) = (Waiting::new(Duration::from_millis(60)), Arc::new(()));
        for number in 0..2 {
            waiting.put(number, 1, None, kept.clone()).unwrap();
            is_dropped(&kept).await;
        }
    }

    #[tokio::test]
    async fn one_caller_leaves_room_for_the_others() {
        let waiting = Waiting::new(Duration::from_secs(600));
        let mut number = 0;
        let mut put = |caller: Option<&str>| {
            number += 1;
            waiting.put(number, 1, caller.map(ToOwned::to_owned), ())
        };
        for _ in 0..MOST_OF_ONE {
            put(Some("ann")).unwrap();
        }
        assert_eq!(put(Some("ann")), Err(Full(MOST_OF_ONE)));
        put(Some("bob")).unwrap();
        for _ in MOST_OF_ONE + 1..MOST {
            put(None).unwrap();
        }
        assert_eq!(put(Some("bob")), Err(Full(MOST)));
        waiting.let_go(|()| true);
        put(Some("bob")).unwrap();
    }
}
