//! What people read of a change: the pull request and the commit. Plain functions from values to text.
//!
//! Whatever comes from a caller or the cluster is redacted, and written so that it stays in its place: it opens no
//! block of its own, mentions nobody and closes no issue.

mod body;
mod commit;
mod markdown;
mod risk;
#[cfg(test)]
mod tests;
mod together;

pub(super) use body::body;
pub(super) use commit::{commit_message, title};
pub(super) use together::Together;

use serde_json::Value;

use super::{checks::Check, edit::Changed, identity::Intent};

/// What may go wrong with it, in one line.
pub(super) fn risk_words(story: &Story<'_>) -> String {
    let risk::Risk { level, reasons } = risk::of(story);
    format!("{level}: {}", reasons.join("; "))
}

/// All that is told of one change.
pub(super) struct Story<'a> {
    pub(super) id: &'a str,
    pub(super) intent: &'a Intent,
    pub(super) requested_by: &'a str,
    /// The fields that change in the files, as [`super::edit`] gives them: without secrets.
    pub(super) changed: &'a [Changed],
    pub(super) files: &'a [String],
    /// Which layer decides, and how that was proven: `overlay overlays/prod, rendered by kustomize`.
    pub(super) layer: &'a str,
    /// Why this place and this change, one sentence each.
    pub(super) evidence: &'a [String],
    /// The rendered objects that differ.
    pub(super) before: &'a [Value],
    pub(super) after: &'a [Value],
    pub(super) checks: &'a [Check],
    /// How many pods run of what changes, where that is known.
    pub(super) pods: Option<u32>,
    /// The newest checkpoint of the audit record.
    pub(super) checkpoint: Option<&'a str>,
    pub(super) links: Links<'a>,
}

/// Where more is to be found; addresses or names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links<'a> {
    /// The ChangeRequest.
    pub(super) request: Option<&'a str>,
    /// The EmergencyChange that this brings back into Git.
    pub(super) emergency: Option<&'a str>,
    pub(super) incident: Option<&'a str>,
}
