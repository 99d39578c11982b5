//! What carrying a request into its repository came to.

use crate::api::ChangeRequest;

/// What became of the request.
#[derive(Debug)]
pub(super) enum Carried {
    Proposed {
        request: Box<ChangeRequest>,
        notes: Vec<String>,
    },
    /// It was open, and is brought up to date.
    Updated {
        request: Box<ChangeRequest>,
        notes: Vec<String>,
    },
    /// It was open, and nothing had to be done.
    Already {
        request: Box<ChangeRequest>,
        note: Option<String>,
    },
    /// Everything that was asked stands in the base already.
    Nothing {
        file: String,
        commit: String,
        earlier: Option<Box<ChangeRequest>>,
    },
    /// It is written down and goes on by itself once the forge answers.
    Kept {
        request: Box<ChangeRequest>,
        why: String,
    },
}
