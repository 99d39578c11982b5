//! Builds the parts, wires them, and shuts them down in order. The only room that sees all others.

mod access;
mod audit_figures;
mod audit_files;
mod beside;
mod capture;
mod change_access;
mod change_meters;
mod cluster_checks;
mod config;
mod data;
mod demo;
mod door;
mod emergency;
mod fleet_view;
mod gateway;
mod gateway_figures;
mod health;
mod leader;
mod operated;
mod parts;
mod rejected_figures;
mod serve;
mod snapshot;
mod traces;
mod unused_code;

pub use access::AccessConfig;
pub use capture::{CaptureDoors, CaptureReads};
pub use config::Configuration;
pub use parts::{App, Running, Sources};

use std::io::{ErrorKind, Write};

use anyhow::Context;

use crate::{
    api,
    cli::{AuditCommand, Job, ManifestsArgs},
    operator,
};

/// Does what the command line says; returns when it is done or was told to stop.
///
/// # Errors
/// One sentence, with its causes: what went wrong, where, and what to do.
pub fn run(job: Job) -> anyhow::Result<()> {
    match job {
        Job::Serve(arguments) => runtime()?.block_on(serve::serve(*arguments)),
        Job::Demo(arguments) => runtime()?.block_on(demo::demo(arguments)),
        Job::Snapshot(arguments) => runtime()?.block_on(snapshot::snapshot(arguments)),
        Job::Crds => print(&api::crds().context("the custom resource definitions cannot be written")?),
        Job::Manifests(arguments) => print(&manifests(&arguments)?),
        Job::Audit(AuditCommand::Verify(arguments)) => audit_files::verify(arguments),
        Job::Audit(AuditCommand::Export(arguments)) => audit_files::export(&arguments),
    }
}

fn manifests(arguments: &ManifestsArgs) -> anyhow::Result<String> {
    let ManifestsArgs { namespaces, webhook, witness, dry_run_identity } = arguments;
    let manifests = if namespaces.is_empty() {
        operator::manifests().context("the manifests cannot be written")?
    } else {
        operator::namespaced_manifests(namespaces)?
    };
    let manifests = match (webhook, witness) {
        (_, true) => operator::with_witness(&manifests, namespaces)?,
        (true, false) => operator::with_webhook(&manifests, namespaces)?,
        (false, false) => manifests,
    };
    Ok(if *dry_run_identity { operator::with_dry_run(&manifests, namespaces)? } else { manifests })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("the threads of the program cannot be started")
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader such as `head` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("stdout cannot be written"),
    }
}
