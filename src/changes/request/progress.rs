//! The steps from an intent to an open pull request, as a caller who waits is told of them.

use crate::tools::{Step, Steps};

/// In their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Find,
    Read,
    Render,
    Check,
    Record,
    Commit,
    Open,
}

const ALL: [(Stage, &str); 7] = [
    (Stage::Find, "finding where the object comes from"),
    (Stage::Read, "reading the repository"),
    (Stage::Render, "editing, and rendering before and after"),
    (Stage::Check, "checking the rendered objects"),
    (Stage::Record, "writing the change down"),
    (Stage::Commit, "committing to its branch"),
    (Stage::Open, "opening the pull request"),
];

impl Stage {
    /// Told to the caller of this change, where they asked for it.
    pub(super) fn begins(self) {
        let steps = Steps::here();
        let found = ALL.iter().zip(1_u32..).find(|((stage, _), _)| *stage == self);
        if let Some(((_, said), at)) = found.filter(|_| steps.are_wanted()) {
            let of = u32::try_from(ALL.len()).unwrap_or(at);
            steps.tell(Step { at, of, said: (*said).to_owned() });
        }
    }
}
