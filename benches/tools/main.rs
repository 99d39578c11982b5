//! The cluster tools beside kubernetes-mcp-server's, in one run on the cluster of `KUBECONFIG`: start, memory, one pod,
//! lists of 250 and 5,000 pods, logs. What must hold is asserted as ratios.
#![allow(clippy::print_stdout)]

#[allow(dead_code)]
#[path = "../../tests/cluster/support/crowd.rs"]
mod crowd;
#[allow(dead_code)]
#[path = "../../tests/cluster/support/fake_node.rs"]
mod fake_node;
#[allow(dead_code)]
#[path = "../../tests/cluster/support/piped.rs"]
mod piped;
#[allow(dead_code)]
#[path = "../../tests/cluster/support/process.rs"]
mod process;
#[allow(dead_code)]
#[path = "../main_job/sample.rs"]
mod sample;

mod bars;
mod measure;
mod server;
mod table;
mod talker;

use anyhow::Context;
use crowd::Crowd;
use kube::Client;
use server::Server;
use talker::Talker;

const FEW: usize = 250;
const MANY: usize = 5_000;

fn main() -> anyhow::Result<()> {
    if std::env::var_os("KUBECONFIG").is_none() {
        println!("the tools were not measured: KUBECONFIG is not set");
        return Ok(());
    }
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok().context("one TLS provider")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let few = Crowd::gather(client.clone(), FEW).await.context("few pods")?;
    let many = Crowd::gather(client.clone(), MANY).await.context("many pods")?;
    let talker = Talker::start(&client).await.context("a pod with a log")?;
    let places = measure::Places {
        few: few.namespace.clone(),
        many: many.namespace.clone(),
        talker: talker.namespace.clone(),
    };
    let measured = async {
        let servers = Server::all()?;
        let at = places.clone();
        let rows = tokio::task::spawn_blocking(move || measure::measure(&servers, &at)).await??;
        let bare = measure::bare_list(&client, &places.many).await?;
        anyhow::Ok((rows, bare))
    }
    .await;
    // Whatever came out, nothing stays behind.
    let gone = tokio::join!(few.disperse(), many.disperse(), talker.end());
    let (rows, bare) = measured?;
    println!("{}", table::table(&rows, bare));
    gone.0.and(gone.1).and(gone.2)?;
    bars::hold(&rows, bare)
}
