//! The one thread that writes the record: gathers lines into groups, commits each with one fsync, and says
//! whether the disk still takes them.
//!
//! It is a thread, not a task: fsync blocks, and what is queued must still be committed when the runtime ends.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use super::{Checkpoint, Line, Refusal, copies::Copies, journal::Journal, refusals::Refusals};

/// Lines wait at most this long for company; the fsync has to fit into the rest of the promised 200 ms.
const GROUP: Duration = Duration::from_millis(100);
/// How often a disk that refused is tried again.
const PROBE: Duration = Duration::from_secs(1);
/// Lines that may wait for the writer; more means that the disk does not keep up.
/// A call has two.
const WAITING: usize = 16_384;

type Outcome = oneshot::Sender<Result<(), String>>;

enum Message {
    /// Without somebody who waits: queued. Boxed, since all places of the channel are made at once.
    Line(Box<Line>, Option<Outcome>),
    Close(Outcome),
}

/// The side of the callers.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    sender: SyncSender<Message>,
    known: Arc<Known>,
}

/// What the writer tells without being asked.
#[derive(Debug, Default)]
struct Known {
    /// Why the last commit failed; empty while the disk takes lines.
    refusing: ArcSwapOption<String>,
    checkpoint: ArcSwapOption<Checkpoint>,
    written: AtomicU64,
    failures: AtomicU64,
    /// Counted where they happen: a flood of them must not take the places of those who wait.
    refusals: Mutex<Refusals>,
}

impl Known {
    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes what stands in the file, then begins to take lines.
pub(super) fn spawn(mut journal: Journal, copies: Option<Copies>) -> io::Result<Handle> {
    let known = Arc::new(Known::default());
    if let Some(checkpoint) = journal.sign()? {
        journal.publish(&checkpoint)?;
        known.checkpoint.store(Some(Arc::new(checkpoint)));
    }
    let (sender, receiver) = sync_channel(WAITING);
    let writer = Writer { journal, copies, known: Arc::clone(&known), kept: Vec::new(), unpublished: false };
    thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(receiver))?;
    Ok(Handle { sender, known })
}

impl Handle {
    pub(super) fn queue(&self, line: Line) -> Result<(), String> {
        if let Some(reason) = self.known.refusing.load_full() {
            return Err(String::clone(&reason));
        }
        self.send(Message::Line(Box::new(line), None))
    }

    /// Also while the disk refuses.
    pub(super) fn outcome(&self, line: Line) -> Result<(), String> {
        self.send(Message::Line(Box::new(line), None))
    }

    /// Of each kind one line is sent; it also wakes the writer, which then knows when the count is due.
    pub(super) fn refused(&self, refusal: Refusal) {
        let is_writable = self.known.refusing.load().is_none();
        let now = Instant::now();
        let line = self.known.refusals().take(refusal.clone(), now, is_writable);
        if let Some(line) = line
            && self.outcome(line).is_err()
        {
            let _ = self.known.refusals().take(refusal, now, false);
        }
    }

    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        self.known.checkpoint.load_full().map(|checkpoint| Checkpoint::clone(&checkpoint))
    }

    /// Lines written and groups that failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        let Known { refusing: _, checkpoint: _, written, failures, refusals: _ } = &*self.known;
        (written.load(Ordering::Relaxed), failures.load(Ordering::Relaxed))
    }

    /// While the disk refuses this still tries: it is answered with what came of it.
    pub(super) async fn durable(&self, line: Line) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        self.send(Message::Line(Box::new(line), Some(done)))?;
        outcome.await.map_err(|_| "its writer has ended".to_owned())?
    }

    pub(super) async fn close(&self) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        match self.sender.try_send(Message::Close(done)) {
            Ok(()) => outcome.await.map_err(|_| "its writer has ended".to_owned())?,
            Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(_)) => Err(full()),
        }
    }

    fn send(&self, message: Message) -> Result<(), String> {
        self.sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => full(),
            TrySendError::Disconnected(_) => "it was closed".to_owned(),
        })
    }
}

fn full() -> String {
    format!("{WAITING} lines already wait for the disk")
}

struct Writer {
    journal: Journal,
    copies: Option<Copies>,
    known: Arc<Known>,
    /// Queued lines of refused groups: their calls ran, so they are written as soon as the disk takes them.
    /// New calls are refused meanwhile, so these are at most `WAITING` and the ends of calls that were running.
    kept: Vec<Line>,
    /// The last group is on disk, what proves it is not.
    unpublished: bool,
}

/// Why a group is not whole on disk.
struct Failure {
    reason: String,
    /// Only what proves the lines is missing.
    has_lines: bool,
}

impl Writer {
    fn run(mut self, receiver: Receiver<Message>) {
        loop {
            let first = match self.patience() {
                Some(patience) => receiver.recv_timeout(patience),
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let (mut group, is_last) = match first {
                Ok(first) => (gather(first, &receiver), false),
                Err(RecvTimeoutError::Timeout) => (Group::default(), false),
                Err(RecvTimeoutError::Disconnected) => (Group::default(), true),
            };
            let counted = self.counted(is_last || group.close.is_some());
            group.lines.extend(counted.into_iter().map(|line| (line, None)));
            if is_last {
                // What cannot be written now was said to nobody.
                let _ = self.commit(group.lines);
                return self.end();
            }
            let outcome = self.commit(group.lines);
            if let Some(done) = group.close {
                let outcome = outcome.and_then(|()| self.journal.sync().map_err(|error| error.to_string()));
                // First no more lines are taken and the file's lock is given back: who waits may open it again.
                drop(receiver);
                self.end();
                // Nobody listens when the closing call was given up; the record is closed all the same.
                let _ = done.send(outcome);
                return;
            }
        }
    }

    /// How long it may wait for lines: a disk that refused is tried again, and refusals that were counted are told.
    fn patience(&self) -> Option<Duration> {
        if self.known.refusing.load().is_some() {
            return Some(PROBE);
        }
        self.known.refusals().due().map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// The lines of refusals whose time has come; they go on being counted while the disk refuses.
    fn counted(&self, is_end: bool) -> Vec<Line> {
        let mut refusals = self.known.refusals();
        let is_due = refusals.due().is_some_and(|due| due <= Instant::now());
        if is_end || (is_due && self.known.refusing.load().is_none()) {
            refusals.counted()
        } else {
            Vec::new()
        }
    }

    fn end(self) {
        let Self { journal, copies, known: _, kept: _, unpublished: _ } = self;
        drop(journal);
        if let Some(copies) = copies {
            copies.end();
        }
    }

    /// Writes what was kept and the group, in the order they came, with one fsync.
    fn commit(&mut self, group: Vec<(Line, Option<Outcome>)>) -> Result<(), String> {
        let was_refusing = self.known.refusing.load_full();
        let mut lines = self.kept.clone();
        if let Some(reason) = &was_refusing {
            lines.push(Line::own("audit/resumed", "audit", &format!("written again after: {reason}")));
        }
        lines.extend(group.iter().map(|(line, _)| line.clone()));
        if lines.is_empty() {
            return Ok(());
        }
        let written = self.write(&lines);
        let path = self.journal.path().display();
        let has_lines = match &written {
            Ok(()) => {
                self.known.refusing.store(None);
                if was_refusing.is_some() {
                    tracing::info!(%path, "the audit record is written again");
                }
                true
            }
            Err(Failure { reason, has_lines }) => {
                self.known.failures.fetch_add(1, Ordering::Relaxed);
                if was_refusing.is_none() {
                    tracing::error!(%path, %reason, "the audit record cannot be written; calls are refused");
                }
                self.known.refusing.store(Some(Arc::new(reason.clone())));
                *has_lines
            }
        };
        if has_lines {
            self.kept.clear();
        }
        let outcome = written.map_err(|Failure { reason, has_lines: _ }| reason);
        for (line, done) in group {
            match done {
                // A caller that has gone does not act; the line then says more than happened, never less.
                Some(done) => drop(done.send(outcome.clone())),
                None if !has_lines => self.kept.push(line),
                None => {}
            }
        }
        outcome
    }

    /// The lines, then the checkpoint that covers them, then what proves both. Lines without proofs are whole, but
    /// whoever could stop the proofs could change them unseen: so calls are refused then too.
    fn write(&mut self, lines: &[Line]) -> Result<(), Failure> {
        if self.unpublished {
            self.prove().map_err(|reason| Failure { reason, has_lines: false })?;
        }
        let texts = self.journal.append(lines);
        let texts = texts.map_err(|error| Failure { reason: error.to_string(), has_lines: false })?;
        self.known.written.fetch_add(u64::try_from(texts.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(copies) = &self.copies {
            copies.send(texts);
        }
        self.unpublished = true;
        self.prove().map_err(|reason| Failure { reason, has_lines: true })
    }

    fn prove(&mut self) -> Result<(), String> {
        let said = |error: io::Error| format!("its checkpoint: {error}");
        if let Some(checkpoint) = self.journal.sign().map_err(said)? {
            self.journal.publish(&checkpoint).map_err(said)?;
            self.known.checkpoint.store(Some(Arc::new(checkpoint)));
        }
        self.unpublished = false;
        if let Err(error) = self.journal.seal_when_full() {
            let path = self.journal.path().display();
            tracing::warn!(%path, %error, "a full file of the audit record cannot be sealed; it goes on growing");
        }
        Ok(())
    }
}

#[derive(Default)]
struct Group {
    lines: Vec<(Line, Option<Outcome>)>,
    close: Option<Outcome>,
}

/// Collects the lines of one group: what is there at once when somebody waits for the disk, else all that comes
/// while this thread sleeps. It sleeps rather than receives, so that no call pays for waking it.
fn gather(first: Message, receiver: &Receiver<Message>) -> Group {
    if matches!(first, Message::Line(_, None)) {
        thread::sleep(GROUP);
    }
    let mut group = Group::default();
    for message in std::iter::once(first).chain(receiver.try_iter()) {
        match message {
            Message::Line(line, done) => group.lines.push((*line, done)),
            // What came in behind it is still taken along.
            Message::Close(done) => group.close = Some(done),
        }
    }
    group
}
