//! Logs. They go to stderr: under stdio, stdout belongs to the protocol.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::{EnvFilter, fmt};

use crate::redact;

/// What is logged unless the filter says otherwise. rmcp writes each proxied error with its data at warn,
/// and secrets may stand in there.
const QUIET: &str = "rmcp=error,kube=warn,kube_client=warn,kube_runtime=warn,hyper=warn,tower=warn";

/// Starts logging; `filter` is a level or a `tracing` filter such as `debug` or `info,pilothouse::gateway=trace`.
pub fn log_to_stderr(filter: &str) {
    let filter = EnvFilter::builder().parse_lossy(format!("{QUIET},{filter}"));
    let terminal = io::stderr().is_terminal();
    let logs = fmt().with_env_filter(filter).with_writer(|| Redacted).with_ansi(terminal).with_target(false);
    // A second start in one process (tests) keeps the first.
    let _ = logs.try_init();
}

/// stderr without secrets: lines of downstream servers and errors of theirs are logged too.
struct Redacted;

impl Write for Redacted {
    /// Called once for each event, with its whole text.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(redact::text(&String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
