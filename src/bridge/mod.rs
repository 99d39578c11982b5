//! `pilothouse bridge`: a stdio MCP server served as Streamable HTTP, inside the server's own pod.
//!
//! `README.md` beside this file says why it is written by hand and which rules it keeps.

mod arguments;
mod child;
mod command;
mod exchange;
mod fill;
mod hosts;
mod incoming;
mod install;
mod limits;
mod lines;
mod memory;
mod modern;
mod one_each;
mod outbox;
mod reply;
mod server;
mod session;
mod sessions;
mod shared;
mod streams;
mod supervise;

pub use arguments::BridgeArgs;
pub use fill::{FillError, fill};
pub use install::{InstallError, install};

use std::{io::Write, process::ExitCode};

use arguments::Job;

/// Does what the arguments say and returns the exit code of the process. Writes the reason of a failure as one
/// sentence to stderr. Must be called before any other thread exists: as pid 1 it forks a serving process and
/// handles signals itself.
///
/// Exit codes: 0 after SIGTERM or SIGINT; 126 the command is not executable; 127 it does not exist; 1 otherwise.
pub fn run(args: BridgeArgs) -> ExitCode {
    match start(args) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell when stderr is closed as well.
            let _ = writeln!(std::io::stderr(), "pilothouse bridge: {error}");
            error.exit_code()
        }
    }
}

fn start(args: BridgeArgs) -> Result<ExitCode, BridgeError> {
    match args.job()? {
        Job::Install(destination) => {
            install(&destination)?;
            Ok(ExitCode::SUCCESS)
        }
        Job::Fill { template, into } => {
            fill(&template, &into)?;
            Ok(ExitCode::SUCCESS)
        }
        Job::Serve(serve) => {
            let program = command::find(&serve.command[0])?;
            match supervise::role()? {
                supervise::Role::Supervisor => Ok(supervise::supervise()?),
                supervise::Role::Server => server::run(serve, program),
            }
        }
    }
}

/// Why the bridge did not start or could not go on.
#[derive(Debug, thiserror::Error)]
enum BridgeError {
    #[error(transparent)]
    Arguments(#[from] arguments::ArgumentsError),
    #[error(transparent)]
    Command(#[from] command::CommandError),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Fill(#[from] FillError),
    #[error("the serving process cannot be started or watched ({0}): is /proc mounted in this container?")]
    Supervise(#[from] supervise::SuperviseError),
    #[error("cannot listen on {address} ({reason}): choose another address with --listen")]
    Listen { address: std::net::SocketAddr, reason: std::io::Error },
    #[error("the server could not be run ({0})")]
    Serve(std::io::Error),
}

impl BridgeError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Command(error) => ExitCode::from(error.exit_code()),
            Self::Arguments(_) => ExitCode::from(2),
            Self::Install(_) | Self::Fill(_) | Self::Supervise(_) | Self::Listen { .. } | Self::Serve(_) => {
                ExitCode::FAILURE
            }
        }
    }
}
