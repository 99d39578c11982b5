//! From the start of the process to the first answer of tools/list over stdio.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, ensure};

use crate::{program, sample::Sample};

const STARTS: usize = 20;

const OPENING: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"#,
    r#""clientInfo":{"name":"bench","version":"1"}}}"#,
    "\n",
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    "\n",
    r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#,
    "\n"
);

pub(crate) async fn measure() -> anyhow::Result<()> {
    let sample = tokio::task::spawn_blocking(|| {
        let mut sample = Sample::default();
        for _ in 0..STARTS {
            once(&mut sample)?;
        }
        anyhow::Ok(sample)
    })
    .await??;
    println!("start to tools/list over stdio: p50 {:.1} ms, worst {:.1} ms", sample.at(0.5), sample.at(1.0));
    Ok(())
}

fn once(sample: &mut Sample) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let begin = Instant::now();
    let mut child = Command::new(program::binary()?)
        .args(["serve", "--log", "error", "--data"])
        .arg(data.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin")?;
    stdin.write_all(OPENING.as_bytes())?;
    let mut answered = false;
    for line in BufReader::new(child.stdout.take().context("stdout")?).lines() {
        let line = line?;
        if line.contains(r#""id":2"#) {
            sample.add(begin.elapsed());
            answered = line.contains("cluster_overview");
            break;
        }
    }
    drop(stdin);
    child.wait()?;
    ensure!(answered, "tools/list was not answered with our tools");
    Ok(())
}
