//! The arguments of `pilothouse bridge`, and the validated job that they mean.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use super::{hosts::Hosts, limits::Limits};

/// Serve a stdio MCP server as Streamable HTTP at /mcp, one process for each session or one for all.
#[derive(Clone, Debug, clap::Args)]
pub struct BridgeArgs {
    /// Where to listen, for example 0.0.0.0:8080; health is at /healthz of the same address.
    #[arg(long, value_name = "ADDR", env = "PILOTHOUSE_BRIDGE_LISTEN", required_unless_present_any = ["install", "fill"])]
    listen: Option<SocketAddr>,

    /// A host name (with or without port) that requests may name besides loopback; may be given several times.
    /// Without it any is accepted.
    #[arg(long, value_name = "HOST", env = "PILOTHOUSE_BRIDGE_ALLOW_HOST", value_delimiter = ',')]
    allow_host: Vec<String>,

    /// How many sessions, each a process of its own, there may be at once; more are refused with 503.
    #[arg(long, value_name = "N", env = "PILOTHOUSE_BRIDGE_MAX_SESSIONS", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_sessions: u32,

    /// Seconds after which a session without request or open stream ends.
    #[arg(long, value_name = "SECONDS", env = "PILOTHOUSE_BRIDGE_IDLE_SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    idle_seconds: u64,

    /// Seconds after which a process is ended once no request is open in it; a day by default.
    #[arg(long, value_name = "SECONDS", env = "PILOTHOUSE_BRIDGE_LIFE_SECONDS", default_value_t = 86_400,
          value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    life_seconds: u64,

    /// MiB that one process with its children may hold; one that holds more is ended. Without it only the
    /// container's own limit counts: when the processes together come close to it, the largest is ended.
    #[arg(long, value_name = "MIB", env = "PILOTHOUSE_BRIDGE_MEMORY_MIB",
          value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    memory_mib: Option<u64>,

    /// One process, kept warm, for all clients: for a server that keeps nothing about a client between calls. It
    /// cannot ask a client anything.
    #[arg(long, env = "PILOTHOUSE_BRIDGE_SHARED")]
    shared: bool,

    /// Copy this program to FILE, executable, and end; used by an init container.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "allow_host", "command"])]
    install: Option<PathBuf>,

    /// Read FILE, replace each ${NAME} for which PILOTHOUSE_FILL_NAME is set, write the result to --into, and end;
    /// used by an init container.
    #[arg(long, value_name = "FILE", requires = "into", conflicts_with_all = ["listen", "allow_host", "command", "install"])]
    fill: Option<PathBuf>,

    /// Where --fill writes to.
    #[arg(long, value_name = "FILE", requires = "fill")]
    into: Option<PathBuf>,

    /// The server's own command and its arguments.
    #[arg(last = true, value_name = "COMMAND", required_unless_present_any = ["install", "fill"])]
    command: Vec<OsString>,
}

/// What there is to do.
#[derive(Debug)]
pub(super) enum Job {
    Install(PathBuf),
    Fill { template: PathBuf, into: PathBuf },
    Serve(Serve),
}

#[derive(Debug)]
pub(super) struct Serve {
    pub(super) listen: SocketAddr,
    pub(super) hosts: Hosts,
    pub(super) limits: Limits,
    /// One process for all clients.
    pub(super) shared: bool,
    /// Never empty; the first is the program as it was given.
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "what to do is not clear: give --listen ADDR and, after --, the command of the server, or --install FILE, or --fill FILE --into FILE"
)]
pub(super) struct ArgumentsError;

impl BridgeArgs {
    /// # Errors
    /// When neither a command to serve nor a file to install to is given; clap refuses that earlier.
    pub(super) fn job(self) -> Result<Job, ArgumentsError> {
        let Self {
            listen,
            allow_host,
            max_sessions,
            idle_seconds,
            life_seconds,
            memory_mib,
            shared,
            install,
            fill,
            into,
            command,
        } = self;
        if let (Some(template), Some(into)) = (fill, into) {
            return Ok(Job::Fill { template, into });
        }
        match (install, listen) {
            (Some(destination), _) => Ok(Job::Install(destination)),
            (None, Some(listen)) if !command.is_empty() => Ok(Job::Serve(Serve {
                listen,
                hosts: Hosts::new(allow_host),
                limits: Limits {
                    // Shared there is one process; another may start while that one ends.
                    processes: if shared { 2 } else { max_sessions as usize },
                    idle: Duration::from_secs(idle_seconds),
                    life: Duration::from_secs(life_seconds),
                    memory: memory_mib.map(|mib| mib << 20),
                },
                shared,
                command,
            })),
            (None, _) => Err(ArgumentsError),
        }
    }
}
