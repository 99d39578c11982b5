//! Builds the parts, wires them, and shuts them down in order. The only room that sees all others.

mod config;
mod data;
mod demo;
mod door;
mod fleet_view;
mod health;
mod parts;
mod serve;
mod snapshot;

pub use parts::{App, Sources};

use std::io::Write;

use anyhow::Context;

use crate::{api, cli::Command, operator};

/// Does what the command line says; returns when it is done or was told to stop.
///
/// # Errors
/// One sentence, with its causes: what went wrong, where, and what to do.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(arguments) => runtime()?.block_on(serve::serve(*arguments)),
        Command::Demo(arguments) => runtime()?.block_on(demo::demo(arguments)),
        Command::Snapshot(arguments) => runtime()?.block_on(snapshot::snapshot(arguments)),
        Command::Crds => print(&api::crds().context("the custom resource definitions cannot be written")?),
        Command::Manifests => print(&operator::manifests().context("the manifests cannot be written")?),
        // Answered before anything else starts: `main`.
        Command::Bridge(arguments) => {
            crate::bridge::run(arguments);
            Ok(())
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("the threads of the program cannot be started")
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("stdout cannot be written")
}
