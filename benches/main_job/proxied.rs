//! What a proxied call adds to a direct one.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use crate::{downstream, program::Served, sample::Sample};

const ROUNDS: usize = 5;
const CALLS: usize = 500;
const CALLS_IN_ALL: f64 = 2_500.0;

pub(crate) async fn measure() -> anyhow::Result<()> {
    let address = downstream::serve().await?;
    let folder = tempfile::tempdir()?;
    std::fs::write(
        folder.path().join("bare.yaml"),
        format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: bare}}\n\
             spec: {{remote: {{url: 'http://{address}/mcp'}}}}\n"
        ),
    )?;
    let folder = folder.path().display().to_string();
    let served = Served::start(&["--servers", &folder]).await?;
    let client = reqwest::Client::builder().tcp_nodelay(true).build()?;
    let (through, direct) = (format!("http://{}/mcp", served.address), format!("http://{address}/mcp"));

    let deadline = Instant::now() + Duration::from_secs(15);
    while call(&client, &through, "bare_echo").await.is_err() {
        ensure!(Instant::now() < deadline, "the downstream's tool did not appear");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("idle memory: {:.1} MB", served.memory()?);

    let before = served.processor()?;
    let (mut near, mut far) = (Sample::default(), Sample::default());
    for _ in 0..ROUNDS {
        for (url, tool, sample) in [(&direct, "echo", &mut near), (&through, "bare_echo", &mut far)] {
            for _ in 0..CALLS {
                let begin = Instant::now();
                call(&client, url, tool).await?;
                sample.add(begin.elapsed());
            }
        }
    }
    for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
        let (near, far) = (near.at(share), far.at(share));
        println!("call {what}: direct {near:.3} ms, proxied {far:.3} ms, added {:.3} ms", far - near);
    }
    let used = (served.processor()? - before) / CALLS_IN_ALL;
    println!("processor time of a proxied call: {used:.3} ms");
    println!("memory after {} proxied calls: {:.1} MB", ROUNDS * CALLS, served.memory()?);
    Ok(())
}

async fn call(client: &reqwest::Client, url: &str, tool: &str) -> anyhow::Result<()> {
    let params = json!({"name": tool, "arguments": {"message": "ahoy"}});
    let answer: Value =
        downstream::request(client, url, "tools/call", Some(tool), params).send().await?.json().await?;
    if answer["result"]["content"][0]["text"].as_str().is_none_or(|text| !text.contains("ahoy")) {
        bail!("{tool} answered {answer}");
    }
    Ok(())
}
