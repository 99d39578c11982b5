//! From a folder to tools that answer: the sources, the gateway and, for a remote server, the bridge together.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pilothouse::{
    fleet::{Roster, folder::Folder, rows},
    gateway::{
        Gateway, Kind, Request, Route,
        wire::{Era, text},
    },
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bridge_process::{Bridge, until};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/servers");

/// A folder, watched into a gateway.
pub(crate) struct Fleet {
    pub(crate) folder: tempfile::TempDir,
    gateway: Arc<Gateway>,
    roster: Arc<Roster>,
    stop: CancellationToken,
}

impl Fleet {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gateway = Arc::new(Gateway::new(Vec::new()));
        let roster = Roster::new(Arc::clone(&gateway));
        let stop = CancellationToken::new();
        tokio::spawn(Folder::open(folder.path(), Arc::clone(&roster)).unwrap().run(stop.clone()));
        Self { folder, gateway, roster, stop }
    }

    fn copy(&self, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        fs::copy(Path::new(EXAMPLES).join(name), &to).unwrap();
        to
    }

    fn has(&self, tool: &str) -> bool {
        self.gateway.catalogue().find(Kind::Tool, tool).is_some()
    }

    /// The text that a tool answers; `None` when it cannot be called.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Option<String> {
        let catalogue = self.gateway.catalogue();
        let Route::Downstream { server, original } = catalogue.find(Kind::Tool, tool)?.route.clone() else {
            panic!("{tool} is not proxied")
        };
        let params = Some(text::raw(&json!({ "name": original, "arguments": arguments })));
        let (server, method) = (server.as_ref().clone(), "tools/call".to_owned());
        let request = Request { server, method, params, era: Era::Legacy, seats: None };
        let (up, _said) = mpsc::channel(16);
        let answer = self.gateway.call(request, up).await.ok()?;
        let answer: Value = serde_json::from_str(answer.get()).unwrap();
        Some(answer["content"][0]["text"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.gateway.shutdown(Duration::from_secs(5)).await;
    }
}

/// The processes that run in a folder.
pub(crate) fn processes_in(folder: &Path) -> Vec<u64> {
    let folder = folder.canonicalize().unwrap();
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes
        .filter(|id: &u64| fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|at| at == folder))
        .collect()
}

#[tokio::test]
async fn a_manifest_becomes_tools_and_takes_them_and_its_process_along() {
    let fleet = Fleet::start();
    fleet.copy("mcp.sh");
    fleet.copy("host.sh");
    let manifest = fleet.copy("host.yaml");
    until("its tools are there", async || fleet.has("host_load") && fleet.has("host_disk")).await;
    assert!(fleet.call("host_disk", json!({ "path": "/" })).await.unwrap().contains("Mounted on"));
    assert_eq!(processes_in(fleet.folder.path()).len(), 1);

    let observations = fleet.gateway.observations();
    until("the table says ready", async || {
        let table = rows(&fleet.roster.known().borrow(), &observations.borrow());
        table.len() == 1
            && table[0].state == "Ready"
            && table[0].transport == "stdio"
            && table[0].tools.len() == 2
    })
    .await;

    fs::remove_file(manifest).unwrap();
    until("its tools are gone", async || !fleet.has("host_load")).await;
    until("its process has ended", async || processes_in(fleet.folder.path()).is_empty()).await;
    fleet.end().await;
}

#[tokio::test]
async fn a_bridged_server_is_proxied_and_comes_back_after_its_process_was_killed() {
    let home = tempfile::tempdir().unwrap();
    for file in ["mcp.sh", "host.sh"] {
        fs::copy(Path::new(EXAMPLES).join(file), home.path().join(file)).unwrap();
    }
    let run = format!("cd '{}' && exec sh host.sh", home.path().display());
    let bridge = Bridge::start(&[], &["sh".to_owned(), "-c".to_owned(), run]);
    let fleet = Fleet::start();
    let manifest = format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: far}}\nspec:\n  remote:\n    url: {}\n",
        bridge.url("/mcp")
    );
    fs::write(fleet.folder.path().join("far.yaml"), manifest).unwrap();
    until("its tools are there", async || fleet.has("far_load")).await;
    assert!(fleet.call("far_load", json!({})).await.unwrap().contains("load averages"));

    let [process] = processes_in(home.path())[..] else { panic!("one process was expected") };
    let process = nix::unistd::Pid::from_raw(process.try_into().unwrap());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).unwrap();
    until("it answers again", async || {
        fleet.call("far_load", json!({})).await.is_some_and(|text| text.contains("load averages"))
    })
    .await;
    fleet.end().await;
}
