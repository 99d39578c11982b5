//! The programs that are compared, and what each calls the same thing.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use serde_json::{Value, json};

/// One program in one configuration.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    is_ours: bool,
}

/// Something to ask every server for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Pod,
    Pods,
    Log,
}

impl Server {
    /// Ours, the peer as it comes, and the peer without its client's throttle.
    pub(crate) fn all() -> anyhow::Result<Vec<Self>> {
        let ours = env::var_os("PILOTHOUSE_BINARY").map(PathBuf::from);
        let ours = ours.context("PILOTHOUSE_BINARY is not set: use benches/run")?;
        let parts =
            env::var_os("PARTS_NODE").context("PARTS_NODE is not set: tests/parts/install prints it")?;
        let peer = Path::new(&parts).join(PEER);
        anyhow::ensure!(peer.is_file(), "{} is missing: run tests/parts/install", peer.display());
        let peer = |name, environment| Self {
            name,
            program: peer.clone(),
            arguments: &["--read-only"],
            environment,
            is_ours: false,
        };
        Ok(vec![
            Self {
                name: "pilothouse",
                program: ours,
                arguments: &["serve", "--log", "error"],
                environment: &[],
                is_ours: true,
            },
            peer("kubernetes-mcp-server", &[]),
            peer("the same, QPS raised", &[("KUBE_CLIENT_QPS", "1000"), ("KUBE_CLIENT_BURST", "1000")]),
        ])
    }

    pub(crate) fn command(&self, data: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.arguments).envs(self.environment.iter().copied());
        if self.is_ours {
            command.arg("--data").arg(data);
        }
        command
    }

    /// Tool and arguments.
    pub(crate) fn ask(&self, ask: Ask, namespace: &str, name: &str) -> (&'static str, Value) {
        match (self.is_ours, ask) {
            (true, Ask::Pod) => {
                ("get_resource", json!({ "kind": "pod", "namespace": namespace, "name": name }))
            }
            (true, Ask::Pods) => ("list_resources", json!({ "kind": "pods", "namespace": namespace })),
            (true, Ask::Log) => ("get_logs", json!({ "namespace": namespace, "name": name })),
            (false, Ask::Pod) => ("pods_get", json!({ "namespace": namespace, "name": name })),
            (false, Ask::Pods) => ("pods_list_in_namespace", json!({ "namespace": namespace })),
            (false, Ask::Log) => ("pods_log", json!({ "namespace": namespace, "name": name })),
        }
    }
}

const PEER: &str = "node_modules/kubernetes-mcp-server-linux-amd64/bin/kubernetes-mcp-server-linux-amd64";
