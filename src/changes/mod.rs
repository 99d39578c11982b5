//! Change requests: an intended change becomes a commit on a branch that a person merges.
