//! Change requests: an intended change becomes a commit on a branch that a person merges.
mod documents;
mod edit;
#[cfg(test)]
mod edit_tests;
mod footprint;
mod path;
mod reach;
mod scalar;
