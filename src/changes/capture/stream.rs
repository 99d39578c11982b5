//! The writes on their way to whoever reads them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, mpsc};

use super::write::{ObjectRef, Seen, Way, Write};

/// While it is this full, nothing more is taken from the watch: the API server keeps it for us.
const FULL: usize = 10_000;
/// Another replica leads, or led until just now: what is older was told by that one.
const REPLAYED: SignedDuration = SignedDuration::from_mins(10);

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<(Timestamp, Seen)>>,
    some: Notify,
}

impl Queue {
    pub(super) fn push(&self, seen: Seen, now: Timestamp) {
        self.waiting().push_back((now, seen));
        self.some.notify_one();
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting().len() >= FULL
    }

    /// What is too old to be told by this replica, which does not lead.
    pub(super) fn outlived(&self, now: Timestamp) -> Vec<Seen> {
        let mut waiting = self.waiting();
        let old = waiting.iter().take_while(|(since, _)| *since + REPLAYED < now).count();
        waiting.drain(..old).map(|(_, seen)| seen).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(Timestamp, Seen)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> Seen {
        loop {
            let more = self.some.notified();
            if let Some((_, seen)) = self.waiting().pop_front() {
                return seen;
            }
            more.await;
        }
    }
}

/// A write and how it came about, as whoever reads the writes says.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) write: Write,
    /// None: it changed nothing that anybody has to answer for.
    pub(super) way: Option<Way>,
}

impl Judged {
    pub(super) fn object(&self) -> &ObjectRef {
        &self.write.object
    }
}

/// The writes past Git. Only the replica that leads reads them; one that begins to lead is told those of the last ten
/// minutes.
#[derive(Debug)]
pub struct Writes {
    queue: Arc<Queue>,
    judged: mpsc::UnboundedSender<Judged>,
}

impl Writes {
    pub(super) fn new(queue: Arc<Queue>, judged: mpsc::UnboundedSender<Judged>) -> Self {
        Self { queue, judged }
    }

    /// The next one, when there is one. Nothing is lost when this is dropped before.
    pub async fn next(&mut self) -> Seen {
        self.queue.next().await
    }

    /// To be called when a [`Seen::Write`] is stored where it outlives the process: until then it is told again after a
    /// restart. What it was counts for the coverage by Git, unless it was nothing; the last word counts.
    pub fn judged(&self, write: &Write, way: Option<Way>) {
        // Without anybody who counts there is nothing to count.
        let _ = self.judged.send(Judged { write: write.clone(), way });
    }
}
