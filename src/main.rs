//! The program: TLS provider, arguments, run.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use pilothouse::{
    app, bridge,
    cli::{Arguments, Command},
    telemetry,
};

/// Keeps what is alike together, and gives back what stays free: with a thousand servers the system's own allocator
/// keeps as much again as is in use, and a call takes longer with it. Its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Arguments { command, log } = Arguments::parse();
    telemetry::log_to_stderr(&log);
    let job = match command {
        // It runs in other people's images, often as pid 1: it starts no TLS and no cluster client.
        Command::Bridge(arguments) => return bridge::run(arguments),
        Command::Job(job) => job,
    };
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return failed("another TLS provider is already installed in this process");
    }
    match app::run(job) {
        Ok(()) => ExitCode::SUCCESS,
        // The whole chain in one line: what, where, what to do.
        Err(error) => failed(&format!("{error:#}")),
    }
}

fn failed(sentence: &str) -> ExitCode {
    // Nothing is left to tell when stderr itself is gone.
    let _ = writeln!(std::io::stderr(), "pilothouse: {sentence}");
    ExitCode::FAILURE
}
