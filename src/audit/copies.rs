//! The copy of every line for whoever collects this process's output: one line of JSON each, the very bytes that stand
//! in the file, so that a collected line can be proven to be of the log.
//!
//! A thread of its own writes it: a reader that stands still must not hold up the record. Then lines are not copied,
//! and how many is counted; the file lacks none.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::Duration,
};

/// Groups of lines that may wait for the reader.
const WAITING: usize = 256;
/// What is waited for at the end.
const LAST: Duration = Duration::from_secs(1);

pub(super) struct Copies {
    sender: SyncSender<Vec<String>>,
    ended: Receiver<()>,
    lost: Arc<AtomicU64>,
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Copies")
    }
}

impl Copies {
    /// Lines that could not be copied are added to `lost`.
    pub(super) fn spawn(mut out: Box<dyn Write + Send>, lost: Arc<AtomicU64>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel::<Vec<String>>(WAITING);
        let (end, ended) = channel();
        let missed = Arc::clone(&lost);
        thread::Builder::new().name("audit-copies".to_owned()).spawn(move || {
            for lines in receiver {
                // In one piece: what else this process writes there must not come in between.
                if out.write_all(lines.concat().as_bytes()).and_then(|()| out.flush()).is_err() {
                    count(&missed, &lines);
                }
            }
            // Nobody waits when the record was not closed in order.
            let _ = end.send(());
        })?;
        Ok(Self { sender, ended, lost })
    }

    /// Hands the lines of one group on, each with its break.
    pub(super) fn send(&self, lines: Vec<String>) {
        match self.sender.try_send(lines) {
            Ok(()) => {}
            Err(TrySendError::Full(lines) | TrySendError::Disconnected(lines)) => count(&self.lost, &lines),
        }
    }

    /// Waits, not for long, until all is written.
    pub(super) fn end(self) {
        let Self { sender, ended, lost: _ } = self;
        drop(sender);
        // A reader that stands still does not hold up the end.
        let _ = ended.recv_timeout(LAST);
    }
}

fn count(lost: &AtomicU64, lines: &[String]) {
    lost.fetch_add(u64::try_from(lines.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        io::{self, Write},
        sync::{
            Arc, Mutex,
            atomic::{AtomicU64, Ordering},
            mpsc::{Receiver, channel},
        },
    };

    use super::{Copies, WAITING};

    /// Takes nothing until it is let.
    struct Slow(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_holds_up_nobody_and_what_it_missed_is_counted() {
        let (go, wait) = channel();
        let (read, lost) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let copies = Copies::spawn(Box::new(Slow(wait, Arc::clone(&read))), Arc::clone(&lost)).unwrap();
        let sent = WAITING + 10;
        for number in 0..sent {
            copies.send(vec![format!("{{\"seq\":{number}}}\n")]);
        }
        let missed = lost.load(Ordering::Relaxed);
        assert!((9..=10).contains(&missed), "{missed}");
        for _ in 0..sent {
            go.send(()).unwrap();
        }
        copies.end();
        let lines = read.lock().unwrap().iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(u64::try_from(lines).unwrap() + missed, u64::try_from(sent).unwrap());
    }
}
