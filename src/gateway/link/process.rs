//! A downstream that is a local process: started in a group of its own, its stderr in our log, ended politely.

use std::{path::Path, process::Stdio, time::Duration};

use futures::StreamExt;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::codec::{FramedRead, LinesCodec};

use crate::gateway::downstream::{Program, ServerName};

/// What a process gets of our environment; the rest may hold secrets of ours. Its own `env` comes on top.
const INHERITED: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// After its stdin was closed, and again after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest line of stderr that is logged.
const LOG_LINE: usize = 16 * 1024;

/// The running process. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
}

/// # Errors
/// One sentence when it cannot be started.
pub(super) fn start(
    name: &ServerName,
    program: &Program,
) -> Result<(Process, ChildStdout, ChildStdin), String> {
    let Program { command, args, env, directory } = program;
    let kept = INHERITED.iter().filter_map(|key| Some((key, std::env::var_os(key)?)));
    let mut child = Command::new(command)
        .args(args)
        .env_clear()
        .envs(kept)
        .envs(env.iter().map(|(key, value)| (key, value)))
        .current_dir(directory.as_deref().unwrap_or(Path::new(".")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("`{command}` cannot be started ({error}): see whether it is installed"))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let pipes = (child.stdout.take(), child.stdin.take(), child.stderr.take());
    let process = Process { child, group };
    let (Some(stdout), Some(stdin), Some(stderr)) = pipes else {
        return Err(format!("`{command}` was started without pipes"));
    };
    tokio::spawn(log(name.to_string(), stderr));
    Ok((process, stdout, stdin))
}

impl Process {
    /// Returns when it has exited by itself: how, in words. What it left running in its group is killed.
    pub(super) async fn exited(&mut self) -> String {
        let status = self.child.wait().await;
        self.group_is_over();
        match status {
            Ok(status) => format!("its process ended ({status})"),
            Err(error) => format!("its process cannot be watched ({error})"),
        }
    }

    /// For a process whose stdin is closed already: waits, then SIGTERM, then SIGKILL, each to its whole group.
    pub(super) async fn end(mut self) {
        if tokio::time::timeout(PATIENCE, self.exited()).await.is_ok() {
            return;
        }
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(PATIENCE, self.exited()).await.is_err() {
            self.signal(Signal::SIGKILL);
            // Nothing survives SIGKILL for long.
            let _ = tokio::time::timeout(PATIENCE, self.exited()).await;
        }
    }

    /// The number of a group that is gone may soon be another's: it is signalled once more and then forgotten.
    fn group_is_over(&mut self) {
        self.signal(Signal::SIGKILL);
        self.group = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Gone already is what we want.
            let _ = killpg(group, signal);
        }
    }
}

impl Drop for Process {
    /// Children of the process do not outlive it.
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

async fn log(server: String, stderr: ChildStderr) {
    let mut lines = FramedRead::new(stderr, LinesCodec::new_with_max_length(LOG_LINE));
    let mut broken = false;
    loop {
        match lines.next().await {
            Some(Ok(line)) => {
                broken = false;
                tracing::info!(server, "{line}");
            }
            Some(Err(error)) => {
                broken = true;
                tracing::info!(server, %error, "a line of its stderr was skipped");
            }
            // After an error the reader stops once and goes on.
            None if broken => broken = false,
            None => return,
        }
    }
}
