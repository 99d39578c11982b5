//! The one thread that writes the record: gathers lines into groups, commits each with one fsync, and says
//! whether the disk still takes them.
//!
//! It is a thread, not a task: fsync blocks, and what is queued must still be committed when the runtime ends.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use super::{Line, journal::Journal};

/// Lines wait at most this long for company; the fsync has to fit into the rest of the promised 200 ms.
const GROUP: Duration = Duration::from_millis(100);
/// How often a disk that refused is tried again.
const PROBE: Duration = Duration::from_secs(1);
/// Lines that may wait for the writer; more means that the disk does not keep up.
const WAITING: usize = 8192;
type Outcome = oneshot::Sender<Result<(), String>>;

enum Message {
    /// Without somebody who waits: queued.
    Line(Line, Option<Outcome>),
    Close(Outcome),
}

/// The side of the callers.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    sender: SyncSender<Message>,
    /// Why the last commit failed; empty while the disk takes lines.
    refusing: Arc<ArcSwapOption<String>>,
}

pub(super) fn spawn(journal: Journal) -> io::Result<Handle> {
    let (sender, receiver) = sync_channel(WAITING);
    let refusing = Arc::new(ArcSwapOption::empty());
    let writer = Writer { journal, refusing: Arc::clone(&refusing), kept: Vec::new() };
    thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(receiver))?;
    Ok(Handle { sender, refusing })
}

impl Handle {
    pub(super) fn queue(&self, line: Line) -> Result<(), String> {
        if let Some(reason) = self.refusing.load_full() {
            return Err(String::clone(&reason));
        }
        self.send(Message::Line(line, None))
    }

    /// While the disk refuses this still tries: it is answered with what came of it.
    pub(super) async fn durable(&self, line: Line) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        self.send(Message::Line(line, Some(done)))?;
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
    refusing: Arc<ArcSwapOption<String>>,
    /// Queued lines of refused groups: their calls ran, so they are written as soon as the disk takes them.
    /// At most what `WAITING` let in, so memory is bounded.
    kept: Vec<Line>,
}

impl Writer {
    fn run(mut self, receiver: Receiver<Message>) {
        loop {
            let first = if self.refusing.load().is_some() {
                receiver.recv_timeout(PROBE)
            } else {
                receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            let group = match first {
                Ok(first) => gather(first, &receiver),
                Err(RecvTimeoutError::Timeout) => Group::default(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let outcome = self.commit(group.lines);
            if let Some(done) = group.close {
                // First no more lines are taken and the file's lock is given back: who waits may open it again.
                drop((receiver, self));
                // Nobody listens when the closing call was given up; the record is closed all the same.
                let _ = done.send(outcome);
                return;
            }
        }
    }

    /// Writes what was kept and the group, in the order they came, with one fsync.
    fn commit(&mut self, group: Vec<(Line, Option<Outcome>)>) -> Result<(), String> {
        let was_refusing = self.refusing.load_full();
        let mut lines = self.kept.clone();
        if let Some(reason) = &was_refusing {
            lines.push(Line::own("audit/resumed", "audit", &format!("written again after: {reason}")));
        }
        lines.extend(group.iter().map(|(line, _)| line.clone()));
        if lines.is_empty() {
            return Ok(());
        }
        let outcome = self.journal.append(&lines).map_err(|error| error.to_string());
        let path = self.journal.path().display();
        match &outcome {
            Ok(()) => {
                self.kept.clear();
                self.refusing.store(None);
                if was_refusing.is_some() {
                    tracing::info!(%path, "the audit record is written again");
                }
            }
            Err(reason) => {
                if was_refusing.is_none() {
                    tracing::error!(%path, %reason, "the audit record cannot be written; calls are refused");
                }
                self.refusing.store(Some(Arc::new(reason.clone())));
            }
        }
        for (line, done) in group {
            match done {
                // A caller that has gone does not act; the line then says more than happened, never less.
                Some(done) => drop(done.send(outcome.clone())),
                None if outcome.is_err() => self.kept.push(line),
                None => {}
            }
        }
        outcome
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
            Message::Line(line, done) => group.lines.push((line, done)),
            // What came in behind it is still taken along.
            Message::Close(done) => group.close = Some(done),
        }
    }
    group
}
