//! The main job in numbers, all in one run: what a proxied call adds to a direct one, start over stdio, idle
//! memory, and the time from pod Ready to tool visible.
#![allow(clippy::print_stdout)]

mod call;
mod downstream;
#[path = "../../tests/cluster/support/process.rs"]
mod process;
mod program;
mod proxied;
mod sample;
mod start;
mod visible;
mod wire;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok().context("one TLS provider")?;
    runtime.block_on(async {
        proxied::measure().await.context("proxied calls")?;
        start::measure().await.context("start over stdio")?;
        visible::measure().await.context("pod Ready to tool visible")
    })
}
