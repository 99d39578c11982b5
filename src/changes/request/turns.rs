//! One at a time for each change, many at a time for different ones.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Weak<Turn<()>>>>);

impl Turns {
    pub(super) async fn take(&self, id: &str) -> OwnedMutexGuard<()> {
        self.turn(id).lock_owned().await
    }

    /// Nothing while somebody else has it.
    pub(super) fn try_take(&self, id: &str) -> Option<OwnedMutexGuard<()>> {
        self.turn(id).try_lock_owned().ok()
    }

    fn turn(&self, id: &str) -> Arc<Turn<()>> {
        let mut turns = self.table();
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(id.to_owned(), Arc::downgrade(&turn));
        turn
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Weak<Turn<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;

    #[tokio::test]
    async fn the_same_change_waits_and_another_does_not() {
        let turns = Turns::default();
        let one = turns.take("a").await;
        assert!(turns.try_take("a").is_none());
        assert!(turns.try_take("b").is_some());
        drop(one);
        assert!(turns.try_take("a").is_some());
    }
}
