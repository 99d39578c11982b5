//! The release program as a child process.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::{
    call::{THROUGH, call},
    process,
    wire::Connection,
};

pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    env::var_os("PILOTHOUSE_BINARY")
        .map(PathBuf::from)
        .context("PILOTHOUSE_BINARY is not set: use benches/run")
}

/// `pilothouse serve --http` on a free port of loopback; ended when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it works in; gone with it.
    folders: Vec<TempDir>,
}

impl Served {
    pub(crate) async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let (address, health) = (free()?, free()?);
        let data = tempfile::tempdir()?;
        // Its copy of the record, thousands of lines, is written as in a cluster, but nobody reads it here.
        let said = std::fs::File::create(data.path().join("stderr"))?;
        let child = Command::new(binary()?)
            .args(["serve", "--http", &address.to_string(), "--health", &health.to_string()])
            .args(["--log", "error", "--data"])
            .arg(data.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(said)
            .spawn()?;
        let served = Self { child, address, folders: vec![data] };
        let deadline = Instant::now() + Duration::from_secs(15);
        while reqwest::get(format!("http://{health}/livez")).await.is_err() {
            if Instant::now() > deadline {
                bail!("the program did not come up");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(served)
    }

    /// Before the server at this address, whose tool is called once.
    pub(crate) async fn before(server: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(
            folder.path().join("bare.yaml"),
            format!(
                "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: bare}}\n\
                 spec: {{remote: {{url: 'http://{server}/mcp'}}}}\n"
            ),
        )?;
        let mut served = Self::start(&["--servers", &folder.path().display().to_string()]).await?;
        served.folders.push(folder);
        let deadline = Instant::now() + Duration::from_secs(15);
        let mut connection = Connection::open(served.address)?;
        while let Err(error) = call(&mut connection, THROUGH) {
            ensure!(Instant::now() < deadline, "the downstream's tool did not appear: {error}");
            connection = Connection::open(served.address)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(served)
    }

    /// Processor time used so far, in milliseconds.
    pub(crate) fn processor(&self) -> anyhow::Result<f64> {
        process::processor(self.child.id())
    }

    /// MB: all that is resident, and the part of it that is not the program's own file.
    pub(crate) fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let of = |what| process::megabytes(self.child.id(), what);
        Ok((of("VmRSS")?, of("RssAnon")?))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
