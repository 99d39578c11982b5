//! The program: TLS provider, arguments, run.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Command {
    Bridge(pilothouse::bridge::BridgeArgs),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Command::Bridge(args) = Command::parse();
    pilothouse::bridge::run(args)
}
