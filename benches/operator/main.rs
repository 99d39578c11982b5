//! The operator in numbers, in the cluster of `KUBECONFIG`: a real server, beside ToolHive's operator where
//! `PARTS_TOOLHIVE` names it; then very many whose pods cost nothing, until they are in place, while nothing happens,
//! and when some are changed. What must hold is asserted at the end.
//!
//! kwok's pods do not speak MCP, so that the many end at Available and are never Verified. They have no address
//! either: nobody knocks at them.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

#[allow(dead_code)]
#[path = "../main_job/sample.rs"]
mod sample;
#[allow(dead_code)]
#[path = "../../tests/cluster/support/mod.rs"]
mod support;

mod bars;
mod counters;
mod fleet;
mod many;
mod real;
mod record;
mod seen;
mod side;
mod size;
mod table;
mod toolhive;

use anyhow::{Context, bail};
use bars::Bars;
use size::Size;
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

fn main() -> anyhow::Result<()> {
    if std::env::var_os("KUBECONFIG").is_none() {
        println!("the operator was not measured: KUBECONFIG is not set");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Who is given up ends the processes that it started, and has its namespaces deleted.
        tokio::select! {
            ended = run() => ended,
            _ = terminate.recv() => bail!("told to stop"),
            _ = ctrl_c() => bail!("told to stop"),
        }
    })
}

async fn run() -> anyhow::Result<()> {
    let size = Size::of_environment()?;
    let client = support::client::admin().await;
    let mut bars = Bars::default();
    if size.rounds > 0 {
        let real = real::measure(&client, &size).await.context("a real server")?;
        println!("{}", table::real(&real));
        bars.real(&real);
    }
    let many = many::measure(&client, &size).await.context("very many servers")?;
    println!("{}", table::many(&many));
    bars.many(&many);
    println!("{}", table::bars(&bars));
    bars.hold()
}
