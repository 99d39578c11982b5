//! The gateway in numbers, all in one run: calls through it beside direct ones with 1, 10 and 100 callers at once, and
//! what a thousand sessions that do nothing and a thousand servers cost. What must hold is asserted as ratios, and what
//! memory is wanted is said.
#![allow(clippy::print_stdout)]

#[path = "../main_job/call.rs"]
mod call;
#[path = "../main_job/downstream.rs"]
mod downstream;
#[path = "../../tests/cluster/support/process.rs"]
mod process;
#[path = "../main_job/program.rs"]
mod program;
#[path = "../main_job/sample.rs"]
mod sample;
#[path = "../main_job/wire.rs"]
mod wire;

mod bars;
mod callers;
mod fleet;
mod idle;

use anyhow::Context;
use program::Served;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok().context("one TLS provider")?;
    let direct = downstream::serve()?;
    let served = runtime.block_on(Served::before(direct))?;
    let loads = callers::measure(&served, direct).context("calls at once")?;
    println!("{}", callers::table(&loads));
    let idle = idle::measure(&served).context("idle sessions")?;
    println!("{idle}");
    drop(served);
    let fleet = runtime.block_on(fleet::measure()).context("a thousand servers")?;
    println!("{fleet}");
    bars::hold(&loads, &idle, &fleet)
}
