//! What the server process says of its own accord, kept until the client reads its stream (GET).

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Messages kept for a client that does not read; the oldest is dropped for a new one.
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<String>,
    /// Counts readers; only the youngest reads on, so that a client whose old connection is dead without
    /// anybody having noticed can come back.
    reader: u64,
}

/// The right to read, until the next reader comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader(u64);

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an older message had to go for this one.
    pub(super) fn push(&self, message: String) -> bool {
        let mut state = self.state();
        let full = state.waiting.len() == KEPT;
        if full {
            state.waiting.pop_front();
        }
        state.waiting.push_back(message);
        drop(state);
        self.changed.notify_waiters();
        full
    }

    /// Ends the reading of whoever read before.
    pub(super) fn reader(&self) -> Reader {
        let mut state = self.state();
        state.reader += 1;
        let reader = Reader(state.reader);
        drop(state);
        self.changed.notify_waiters();
        reader
    }

    /// The next message; `None` when another reader has come.
    pub(super) async fn next(&self, reader: Reader) -> Option<String> {
        loop {
            // Made before looking, so that a message that comes between the look and the wait still wakes us.
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.reader != reader.0 {
                    return None;
                }
                if let Some(message) = state.waiting.pop_front() {
                    return Some(message);
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Outbox};

    #[tokio::test]
    async fn messages_wait_for_a_reader_and_a_new_reader_takes_over() {
        let outbox = Outbox::default();
        outbox.push("one".to_owned());
        let first = outbox.reader();
        assert_eq!(outbox.next(first).await.as_deref(), Some("one"));
        let second = outbox.reader();
        outbox.push("two".to_owned());
        assert_eq!(outbox.next(first).await, None);
        assert_eq!(outbox.next(second).await.as_deref(), Some("two"));
    }

    #[tokio::test]
    async fn the_oldest_goes_when_nobody_reads() {
        let outbox = Outbox::default();
        let dropped: usize = (0..KEPT + 2).map(|n| usize::from(outbox.push(n.to_string()))).sum();
        assert_eq!(dropped, 2);
        let reader = outbox.reader();
        assert_eq!(outbox.next(reader).await.as_deref(), Some("2"));
    }
}
