//! The record (promise P9): what changes something is on disk before it happens; reads and calls are queued
//! and committed in groups within 200 ms. When the record cannot be written, further calls are refused.
//!
//! Every line is a leaf of a Merkle log, whose checkpoints this replica signs with the log's own key: README.md says
//! what that proves. [`line`] is what is recorded, [`chain`] its text, [`tree`] the log, [`journal`] owns the files,
//! [`resume`] takes them up at start, [`writer`] is the one thread that writes them; [`examine`] proves a file whole,
//! [`export`] says it in other systems' words.

mod canonical;
mod chain;
mod checkpoint;
mod copies;
mod examine;
mod export;
mod files;
mod footprint;
mod journal;
mod key;
mod line;
mod place;
mod read;
mod refusals;
mod resume;
#[cfg(test)]
mod sealing_tests;
#[cfg(test)]
mod tests;
mod tree;
mod verify;
mod writer;

use std::{
    io::{self, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use self::{copies::Copies, journal::Journal};

pub use chain::{ChainBreak, SCHEMA, check};
pub use checkpoint::{Anchor, Checkpoint, NoAnchor, TRAILER};
pub use examine::{Doubt, Whole, examine, log, origin};
pub use export::{Format, NotALine, export};
pub use footprint::{Footprint, note};
pub use line::{Call, Groups, Line, Object, Outcome};
pub use refusals::{REFUSED, Refusal};
pub use verify::Fault;

#[derive(Debug, thiserror::Error)]
#[error(
    "the audit record in {path} cannot be written ({reason}): free the disk or give another folder with --data"
)]
pub struct AuditError {
    pub path: String,
    pub reason: String,
}

/// A file of this many bytes takes no more lines: the log goes on in the next. It bounds what a start reads.
const FULL: u64 = 64 << 20;

/// The record of this replica. Cheap to clone; one writer thread owns the file and ends, after a last commit,
/// when it is closed or all clones are gone.
#[derive(Clone, Debug)]
pub struct Audit {
    path: Arc<str>,
    writer: writer::Handle,
    lost: Arc<AtomicU64>,
}

/// What the record has done since this process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Lines on disk.
    pub written: u64,
    /// Groups of lines that could not be written, each try counted.
    pub failures: u64,
    /// Lines of the log under its last checkpoint, those of earlier processes too.
    pub signed: u64,
    /// Lines of which no copy could be given to the collection of logs; they are in the file.
    pub not_copied: u64,
}

impl Audit {
    /// Opens `dir/audit/audit.jsonl`, making it where it is missing. While another process holds that file,
    /// `audit-2.jsonl` and so on is taken: two never write one log. Key, checkpoint and tiles lie beside it.
    ///
    /// A last line that a crash left half-written is moved to a file beside it (`….torn-<time>`), a log that is not
    /// what was signed is set aside as a whole (`…-broken-<time>.jsonl`), and a line of the record says so.
    ///
    /// # Errors
    /// When a file cannot be made, read or written, or what stands there is no record at all.
    pub fn open(dir: &Path) -> Result<Self, AuditError> {
        Self::opened(dir, None, FULL)
    }

    /// As [`Self::open`]; `out` is given every line once it is on disk, byte for byte, one at a time with its break.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn copied(dir: &Path, out: Box<dyn Write + Send>) -> Result<Self, AuditError> {
        Self::opened(dir, Some(out), FULL)
    }

    fn opened(dir: &Path, out: Option<Box<dyn Write + Send>>, full: u64) -> Result<Self, AuditError> {
        let folder = dir.join("audit");
        let error = |path: &Path, error: io::Error| AuditError {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        let journal = resume::open(&folder, full).map_err(|why| error(&folder, why))?;
        let file = journal.path().to_owned();
        let lost = Arc::new(AtomicU64::new(0));
        let writer = start(journal, out, Arc::clone(&lost)).map_err(|why| error(&file, why))?;
        Ok(Self { path: file.display().to_string().into(), writer, lost })
    }

    /// The file that this replica writes; full ones stand beside it, named after their first line.
    pub fn path(&self) -> &Path {
        Path::new(&*self.path)
    }

    /// Returns when the line is on disk and under the latest checkpoint: call before the effect of what changes
    /// something.
    ///
    /// # Errors
    /// When it could not be written; the action must then not happen.
    pub async fn durable(&self, line: Line) -> Result<(), AuditError> {
        self.writer.durable(line).await.map_err(|reason| self.error(reason))
    }

    /// Queues a line for the next group commit; for reads and proxied calls, before they run.
    ///
    /// # Errors
    /// When an earlier group could not be written: the call must then be refused. What was queued before is
    /// kept and written once the disk takes it again, which is tried every second.
    pub fn queue(&self, line: Line) -> Result<(), AuditError> {
        self.writer.queue(line).map_err(|reason| self.error(reason))
    }

    /// Queues what came of something whose beginning is on record already. It happened, so the line is also taken
    /// while the disk refuses, and written once it does not.
    ///
    /// # Errors
    /// When too many lines wait already, or the record was closed.
    pub fn outcome(&self, line: Line) -> Result<(), AuditError> {
        self.writer.outcome(line).map_err(|reason| self.error(reason))
    }

    /// Records somebody whom a door turned away. It happened, so nothing can be refused here: the first of a kind has a
    /// line of its own, more of the same are counted, and the count is a line some minutes later.
    pub fn refused(&self, refusal: Refusal) {
        self.writer.refused(refusal);
    }

    /// The latest signed checkpoint: it covers every line for which [`Self::durable`] has returned. `None` while
    /// nothing was recorded.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.writer.checkpoint()
    }

    /// For metrics.
    pub fn figures(&self) -> Figures {
        let (written, failures) = self.writer.counts();
        let signed = self.checkpoint().map_or(0, |checkpoint| checkpoint.size());
        Figures { written, failures, signed, not_copied: self.lost.load(Ordering::Relaxed) }
    }

    /// Commits what is queued and ends the writer; later lines are refused.
    ///
    /// # Errors
    /// When the last group could not be written.
    pub async fn close(&self) -> Result<(), AuditError> {
        self.writer.close().await.map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> AuditError {
        AuditError { path: self.path.to_string(), reason }
    }
}

fn start(
    journal: Journal,
    out: Option<Box<dyn Write + Send>>,
    lost: Arc<AtomicU64>,
) -> io::Result<writer::Handle> {
    let copies = out.map(|out| Copies::spawn(out, lost)).transpose()?;
    writer::spawn(journal, copies)
}
