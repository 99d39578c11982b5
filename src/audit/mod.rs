//! The record (promise P9): what changes something is on disk before it happens; reads and calls are queued
//! and committed in groups within 200 ms. When the record cannot be written, further calls are refused.
//!
//! [`chain`] says what a line looks like and how each names its predecessor, [`journal`] owns the file,
//! [`writer`] is the one thread that writes it.

mod chain;
mod journal;
mod writer;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;

use crate::{caller::Caller, redact};

pub use chain::{ChainBreak, check};

/// One line of the record.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub at: Timestamp,
    /// Who asked.
    pub caller: String,
    /// What was done, for example `tools/call`, `change/push`.
    pub action: String,
    /// On what, for example a tool's name or `Deployment shop/web`.
    pub target: String,
    /// SHA-256 of the arguments, hex; the arguments themselves may hold secrets.
    pub arguments_digest: Option<String>,
    /// `allowed`, `refused`, or what came of it.
    pub decision: String,
    /// What else identifies the deed, for example `branch`; never a secret, never arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// Characters of a target that are recorded: a line must stay short enough to be found again at its end.
const LONGEST_TARGET: usize = 1_024;

impl Line {
    pub fn now(caller: &Caller, action: &str, target: &str, decision: &str) -> Self {
        Self::by(&caller.user, action, target, decision)
    }

    /// A line about ourselves, which no caller asked for.
    fn own(action: &str, target: &str, decision: &str) -> Self {
        Self::by("pilothouse", action, target, decision)
    }

    fn by(caller: &str, action: &str, target: &str, decision: &str) -> Self {
        Self {
            at: Timestamp::now(),
            caller: caller.to_owned(),
            action: action.to_owned(),
            target: redact::text(&target.chars().take(LONGEST_TARGET).collect::<String>()).into_owned(),
            arguments_digest: None,
            decision: decision.to_owned(),
            facts: BTreeMap::new(),
        }
    }

    /// Adds one further fact.
    #[must_use]
    pub fn with(mut self, fact: &str, value: impl Into<String>) -> Self {
        self.facts.insert(fact.to_owned(), value.into());
        self
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the audit record in {path} cannot be written ({reason}): free the disk or give another folder with --data"
)]
pub struct AuditError {
    pub path: String,
    pub reason: String,
}

/// The record of this replica. Cheap to clone; one writer thread owns the file and ends, after a last commit,
/// when it is closed or all clones are gone.
#[derive(Clone, Debug)]
pub struct Audit {
    path: Arc<str>,
    writer: writer::Handle,
}

impl Audit {
    /// Opens `dir/audit/audit.jsonl`, making it where it is missing. While another process holds that file,
    /// `audit-2.jsonl` and so on is taken: two never write one chain.
    ///
    /// A last line that a crash left half-written is moved to a file beside it (`….torn-<time>`), and a line of
    /// the record says so.
    ///
    /// # Errors
    /// When the folder or file cannot be made or written, or its last whole line is not one of ours.
    pub fn open(dir: &Path) -> Result<Self, AuditError> {
        let folder = dir.join("audit");
        let journal = journal::Journal::open(&folder)
            .map_err(|error| AuditError { path: folder.display().to_string(), reason: error.to_string() })?;
        let path: Arc<str> = journal.path().display().to_string().into();
        let writer = writer::spawn(journal)
            .map_err(|error| AuditError { path: path.to_string(), reason: error.to_string() })?;
        Ok(Self { path, writer })
    }

    /// The file that this replica writes.
    pub fn path(&self) -> &Path {
        Path::new(&*self.path)
    }

    /// Returns when the line is on disk: call before the effect of what changes something.
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
