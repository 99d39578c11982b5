//! One server process in a process group of its own.

use std::{ffi::OsString, io, path::Path, process::ExitStatus, process::Stdio, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::supervise;

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    group: Option<Pid>,
}

impl Child {
    /// Starts `program`; `command[0]` is the name it is told it has. Its stderr is ours: the pod's log.
    ///
    /// # Errors
    /// Those of the system, for example a missing interpreter.
    pub(super) fn start(program: &Path, command: &[OsString]) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let mut process = Command::new(program)
            .arg0(&command[0])
            .args(&command[1..])
            .env_remove(supervise::MARK)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the process has no stdin or stdout"));
        };
        let group = process.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok((Self { process, group }, stdin, stdout))
    }

    /// The number of its process group, while it lives.
    pub(super) fn group(&self) -> Option<i32> {
        self.group.map(Pid::as_raw)
    }

    /// # Errors
    /// Those of the system.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Ends the process and all of its group: SIGTERM, after 2 s SIGKILL.
    pub(super) async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let gone = async {
            let ended = self.process.wait().await;
            while self.group.is_some_and(|group| killpg(group, None::<Signal>).is_ok()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            ended
        };
        let ended = match tokio::time::timeout(GRACE, gone).await {
            Ok(ended) => ended,
            Err(_) => {
                self.signal(Signal::SIGKILL);
                self.process.wait().await
            }
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the end of a server process could not be seen");
        }
    }

    fn signal(&self, signal: Signal) {
        let Some(group) = self.group else { return };
        match killpg(group, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!(%error, %signal, "a server process could not be signalled"),
        }
    }
}
