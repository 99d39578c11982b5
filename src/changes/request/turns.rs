//! One at a time for each change, many at a time for different ones.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{Mutex as Place, OwnedMutexGuard};

use super::{
    Room,
    shelf::{Held, ShelfError},
};

/// One's own, in this process and beside others.
#[derive(Debug)]
pub(super) struct Turn {
    _guard: OwnedMutexGuard<()>,
    _held: Held,
}

impl Room {
    pub(super) async fn turn(&self, id: &str) -> Result<Turn, ShelfError> {
        let guard = self.state.turns.take(id).await;
        let held = self.shelf.hold(id, true).await?.unwrap_or_default();
        Ok(Turn { _guard: guard, _held: held })
    }

    /// Nothing while somebody else has it.
    pub(super) async fn try_turn(&self, id: &str) -> Option<Turn> {
        let guard = self.state.turns.try_take(id)?;
        match self.shelf.hold(id, false).await {
            Ok(held) => Some(Turn { _guard: guard, _held: held? }),
            Err(error) => {
                tracing::warn!(%error, change = id, "the change is left for later");
                None
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Weak<Place<()>>>>);

impl Turns {
    async fn take(&self, id: &str) -> OwnedMutexGuard<()> {
        self.place(id).lock_owned().await
    }

    fn try_take(&self, id: &str) -> Option<OwnedMutexGuard<()>> {
        self.place(id).try_lock_owned().ok()
    }

    fn place(&self, id: &str) -> Arc<Place<()>> {
        let mut turns = self.table();
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(id.to_owned(), Arc::downgrade(&turn));
        turn
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Weak<Place<()>>>> {
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
