//! What server processes may use before the bridge ends them.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many there may be at once, also while they start and end.
    pub(super) processes: usize,
    /// How long a session may have neither a request nor a reader.
    pub(super) idle: Duration,
    /// How old a process may become; it ends when no request is open.
    pub(super) life: Duration,
    /// Bytes that each with its children may hold.
    pub(super) memory: Option<u64>,
}
