//! Logs. They go to stderr: under stdio, stdout belongs to the protocol.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

/// What is logged unless the filter says otherwise. rmcp writes each proxied error with its data at warn,
/// and secrets may stand in there.
const QUIET: &str = "rmcp=error,kube=warn,kube_client=warn,kube_runtime=warn,hyper=warn,tower=warn";

/// Starts logging; `filter` is a level or a `tracing` filter such as `debug` or `info,pilothouse::gateway=trace`.
pub fn log_to_stderr(filter: &str) {
    let filter = EnvFilter::builder().parse_lossy(format!("{QUIET},{filter}"));
    let terminal = std::io::stderr().is_terminal();
    let logs =
        fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).with_target(false);
    // A second start in one process (tests) keeps the first.
    let _ = logs.try_init();
}
