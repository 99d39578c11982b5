//! What is told of a draft beside what is kept of it.

use serde_json::Value;

use super::super::{checks::Check, edit::Changed};

/// Only the texts show it, which take secrets out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) changed: Vec<Changed>,
    /// The rendered objects that differ.
    pub(super) before: Vec<Value>,
    pub(super) after: Vec<Value>,
    pub(super) checks: Vec<Check>,
    pub(super) evidence: Vec<String>,
    /// How many pods the object has.
    pub(super) pods: Option<u32>,
}
