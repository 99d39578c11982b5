//! `pilothouse demo`: the ordinary server on a recorded cluster and two example servers that the binary brings
//! along, so that it needs nothing but itself.

use std::{io::Write, net::SocketAddr, path::Path};

use anyhow::{Context, bail};
use include_dir::{Dir, include_dir};
use serde_json::json;

use super::{data, serve};
use crate::cli::{AuditStderr, DemoArgs, DoorArgs, Operator, ServeArgs};

static SNAPSHOT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/snapshots/broken-shop");
static SERVERS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/servers");

/// Unpacks the examples, serves them, and says how to reach them.
pub(super) async fn demo(arguments: DemoArgs) -> anyhow::Result<()> {
    let DemoArgs { http, data } = arguments;
    if !http.ip().is_loopback() {
        bail!("the demo is for this machine only, and {http} can be reached from others: use 127.0.0.1");
    }
    let data = data::folder(data)?;
    let folder = data.join("demo");
    let (snapshot, servers) = (folder.join("broken-shop"), folder.join("servers"));
    unpack(&SNAPSHOT, &snapshot)?;
    unpack(&SERVERS, &servers)?;
    let arguments = ServeArgs {
        http: Some(http),
        door: DoorArgs::default(),
        operator: Operator::Off,
        lease_seconds: 10,
        kubeconfig: None,
        context: None,
        snapshot: Some(snapshot.clone()),
        servers: Some(servers.clone()),
        data: Some(data),
        // What a person reads at a terminal.
        audit_stderr: AuditStderr::Off,
        config: None,
        namespaces: Vec::new(),
    };
    serve::over_http(arguments, http, |address| announce(address, &snapshot, &servers, &folder)).await
}

fn unpack(from: &Dir<'_>, to: &Path) -> anyhow::Result<()> {
    // What an older version has unpacked must not stay among the new files.
    if to.exists() {
        std::fs::remove_dir_all(to).with_context(|| format!("the old examples in {}", to.display()))?;
    }
    std::fs::create_dir_all(to)
        .and_then(|()| from.extract(to))
        .with_context(|| format!("the examples cannot be unpacked to {}: give --data DIR", to.display()))
}

fn announce(http: SocketAddr, snapshot: &Path, servers: &Path, data: &Path) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("where this program is")?;
    let desktop = json!({"mcpServers": {"pilothouse": {
        "command": program,
        "args": ["serve", "--snapshot", snapshot, "--servers", servers, "--data", data]
    }}});
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "A recorded broken cluster and two example servers are served until Ctrl-C:\n\n\
         \x20 Streamable HTTP   http://{http}/mcp\n\
         \x20 HTTP+SSE          http://{http}/sse\n\n\
         Ask your assistant: what is broken in this cluster, and why?\n\n\
         The same over stdio, for Claude Desktop's configuration file:\n\n{desktop:#}\n"
    )
    .and_then(|()| out.flush())
    .context("stdout cannot be written")
}
