//! What a proxied call adds to a direct one.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use crate::{downstream, program::Served, sample::Sample, wire::Connection};

const ROUNDS: usize = 6;
const CALLS: usize = 500;
const CALLS_IN_ALL: f64 = 3_000.0;

pub(crate) async fn measure() -> anyhow::Result<()> {
    let address = downstream::serve()?;
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
    let mut direct = Connection::open(address)?;
    let mut through = Connection::open(served.address)?;

    let deadline = Instant::now() + Duration::from_secs(15);
    while let Err(error) = call(&mut through, "bare_echo") {
        ensure!(Instant::now() < deadline, "the downstream's tool did not appear: {error}");
        through = Connection::open(served.address)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (all, own) = served.memory()?;
    println!("idle memory: {all:.1} MB, {own:.1} MB of it data and the rest pages of the program's file");

    let before = served.processor()?;
    let (mut near, mut far) = (Sample::default(), Sample::default());
    for _ in 0..ROUNDS {
        for (connection, tool, sample) in
            [(&mut direct, "echo", &mut near), (&mut through, "bare_echo", &mut far)]
        {
            for _ in 0..CALLS {
                let begin = Instant::now();
                call(connection, tool)?;
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
    let (all, own) = served.memory()?;
    println!("memory after {} proxied calls: {all:.1} MB, {own:.1} MB of it data", ROUNDS * CALLS);
    Ok(())
}

fn call(connection: &mut Connection, tool: &str) -> anyhow::Result<()> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"message":"ahoy"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1"}}}}}}}}"#
    );
    let answer = connection.post("tools/call", tool, &body)?;
    if !answer.contains("ahoy ahoy") {
        bail!("{tool} answered {answer}");
    }
    Ok(())
}
