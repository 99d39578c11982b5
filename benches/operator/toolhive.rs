//! ToolHive's operator as a process of its own, for one namespace. Its definitions go with it, if it brought them.

use std::{
    env,
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use kube::{Client, core::GroupVersionKind};
use serde_json::json;

use crate::{
    side::Side,
    support::{kubectl, namespace::Scratch},
};

const PATIENCE: Duration = Duration::from_secs(60);
const RUNNER: &str = "docker.io/pilothouse-test/toolhive-proxyrunner:1";

pub(crate) struct Toolhive {
    child: Child,
    scratch: Scratch,
    definitions: Option<PathBuf>,
}

impl Toolhive {
    /// `None` where `PARTS_TOOLHIVE` names no folder.
    pub(crate) async fn start() -> anyhow::Result<Option<Self>> {
        let Some(folder) = env::var_os("PARTS_TOOLHIVE").map(PathBuf::from) else { return Ok(None) };
        let definitions = folder.join("crds");
        let brought = tokio::task::spawn_blocking(move || define(&definitions)).await??;
        let scratch = tokio::task::spawn_blocking(|| Scratch::new("toolhive")).await?;
        let (metrics, health) = (free_address()?, free_address()?);
        let child = Command::new(folder.join("thv-operator"))
            .args(["--metrics-bind-address", &metrics, "--health-probe-bind-address", &health])
            .envs([("TOOLHIVE_RUNNER_IMAGE", RUNNER), ("TOOLHIVE_PROXY_HOST", "0.0.0.0")])
            .envs([("WATCH_NAMESPACE", scratch.name()), ("POD_NAMESPACE", scratch.name())])
            .env("ENABLE_WEBHOOKS", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(env::temp_dir().join(format!("{}.log", scratch.name())))?)
            .spawn()?;
        let started = Self { child, scratch, definitions: brought };
        let begun = Instant::now();
        while !reqwest::get(format!("http://{health}/readyz"))
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            if begun.elapsed() > PATIENCE {
                started.end().await?;
                bail!("ToolHive's operator is not ready");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(Some(started))
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn side(&self, client: &Client) -> Side {
        let kind = GroupVersionKind::gvk("toolhive.stacklok.dev", "v1beta1", "MCPServer");
        let spec = json!({
            "image": "docker.io/pilothouse-test/everything:1", "transport": "streamable-http",
            // The image starts another of its servers by itself.
            "args": ["node", "dist/index.js", "streamableHttp"],
            "env": [{ "name": "PORT", "value": "3001" }], "mcpPort": 3001, "proxyPort": 8080,
        });
        Side::new(client, self.scratch.name(), &kind, spec)
    }

    /// Ends it, and waits until its namespace and its definitions are gone.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        // While it still runs: it takes its finalizers away.
        let namespace = self.scratch.name().to_owned();
        let servers = "mcpservers.toolhive.stacklok.dev";
        delete(&["-n", &namespace, servers, "--all"]).await?;
        self.child.kill()?;
        self.child.wait()?;
        delete(&["namespace", &namespace]).await?;
        if let Some(definitions) = self.definitions.take() {
            delete(&["-f", &definitions.display().to_string()]).await?;
        }
        Ok(())
    }
}

impl Drop for Toolhive {
    fn drop(&mut self) {
        // It may have been ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers the folder of the definitions that were not there before.
fn define(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let folder_text = folder.display().to_string();
    let is_there = kubectl::run(&["get", "crd", "-o", "name"]).contains(".toolhive.stacklok.dev");
    let applied = kubectl::kubectl().args(["apply", "--server-side", "-f", &folder_text]).output()?;
    ensure!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f", &folder_text];
    let established = kubectl::kubectl().args(wait).output()?;
    ensure!(established.status.success(), "{}", String::from_utf8_lossy(&established.stderr));
    Ok((!is_there).then(|| folder.to_owned()))
}

async fn delete(what: &[&str]) -> anyhow::Result<()> {
    let mut command = kubectl::kubectl();
    command.arg("delete").args(what).args(["--ignore-not-found", "--timeout=120s"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await?.context("kubectl")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
