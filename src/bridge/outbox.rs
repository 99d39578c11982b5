//! What the server process says of its own accord, kept until the client reads its stream (GET).

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Messages kept for a client that does not read; the oldest are dropped for a new one.
const KEPT: usize = 256;
/// Bytes of them together, at which the oldest are dropped too; the newest is always kept.
const BYTES: usize = 32 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<String>,
    bytes: usize,
    /// Messages were dropped since the last one was read.
    drops: bool,
    /// Counts readers; only the youngest reads on, so that a client whose old connection is dead without
    /// anybody having noticed can come back.
    reader: u64,
}

impl State {
    fn take(&mut self) -> Option<String> {
        let message = self.waiting.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

/// The right to read, until the next reader comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader(u64);

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an older message had to go for this one, the first since somebody read.
    pub(super) fn push(&self, message: String) -> bool {
        let mut state = self.state();
        let mut dropped = false;
        while state.waiting.len() >= KEPT || state.bytes + message.len() > BYTES {
            if state.take().is_none() {
                break;
            }
            dropped = true;
        }
        let already = state.drops;
        state.drops |= dropped;
        state.bytes += message.len();
        state.waiting.push_back(message);
        drop(state);
        self.changed.notify_waiters();
        dropped && !already
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
                if let Some(message) = state.take() {
                    state.drops = false;
                    return Some(message);
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, KEPT, Outbox};

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
        assert_eq!(dropped, 1, "it is said once");
        let reader = outbox.reader();
        assert_eq!(outbox.next(reader).await.as_deref(), Some("2"));
    }

    #[tokio::test]
    async fn a_few_large_ones_are_as_many_as_a_lot_of_small_ones() {
        let outbox = Outbox::default();
        assert!(!outbox.push("small".to_owned()));
        assert!(!outbox.push("x".repeat(BYTES - 10)));
        assert!(outbox.push("y".repeat(BYTES + 1)), "both others had to go");
        let reader = outbox.reader();
        assert_eq!(outbox.next(reader).await.map(|text| text.len()), Some(BYTES + 1));
        assert!(!outbox.push("small".to_owned()));
        assert_eq!(outbox.next(reader).await.as_deref(), Some("small"));
    }
}
