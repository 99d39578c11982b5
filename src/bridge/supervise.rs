//! Fit to be pid 1: the bridge runs itself a second time. This first process only passes signals on and takes
//! the exit status of every orphan that the kernel hands it; the second one serves.
//!
//! The two are one program so that nothing but this file must be in the image, and two processes so that
//! waiting for any child here never takes an exit status from the runtime that waits for its own there.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{SigSet, Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getppid},
};

/// Set for the serving process alone: the supervisor's process id.
pub(super) const MARK: &str = "PILOTHOUSE_BRIDGE_SUPERVISOR";

/// Passed on to the serving process.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

#[derive(Debug, thiserror::Error)]
pub(super) enum SuperviseError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    System(#[from] Errno),
}

pub(super) enum Role {
    Supervisor,
    Server,
}

/// Which of the two this process is. The server's signals are set as the runtime expects them, and it is told
/// to end when its supervisor is killed.
pub(super) fn role() -> Result<Role, SuperviseError> {
    if std::env::var(MARK).ok() != Some(getppid().to_string()) {
        return Ok(Role::Supervisor);
    }
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    SigSet::all().thread_unblock()?;
    Ok(Role::Server)
}

/// Starts the serving process and stays until it ends; its exit code is ours.
pub(super) fn supervise() -> Result<ExitCode, SuperviseError> {
    let mut signals: SigSet = PASSED_ON.into_iter().collect();
    signals.add(Signal::SIGCHLD);
    // Blocked, they wait for `wait` below; this also holds for pid 1, which has no default handlers.
    signals.thread_block()?;
    // Orphans come to us even when we are not pid 1 (a pod that shares its process namespace).
    prctl::set_child_subreaper(true)?;
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "pilothouse".into());
    let server = Command::new("/proc/self/exe")
        .arg0(name)
        .args(arguments)
        .env(MARK, std::process::id().to_string())
        .spawn()?;
    let server = Pid::from_raw(i32::try_from(server.id()).map_err(std::io::Error::other)?);
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(server)? {
                    return Ok(code);
                }
            }
            signal => match kill(server, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// Takes every exit status there is; the server's, when it was among them.
fn reap(server: Pid) -> Result<Option<ExitCode>, Errno> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == server => {
                return Ok(Some(ExitCode::from(u8::try_from(code).unwrap_or(1))));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == server => {
                return Ok(Some(ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(1))));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}
