//! A started program with its children, which end together.

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// Kills a program, started in a process group of its own, and its children unless it ended by itself: after a
/// deadline, or when the call was given up.
pub(super) struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    pub(super) fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    pub(super) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that all of the group have ended.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}
