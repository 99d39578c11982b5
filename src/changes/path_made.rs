//! Field paths that are put together rather than read.

use super::path::{FieldPath, Step};

impl FieldPath {
    /// `steps` begin with a key.
    pub(super) fn from_steps(steps: Vec<Step>) -> Self {
        Self(steps)
    }

    pub(super) fn of_keys(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }
}
