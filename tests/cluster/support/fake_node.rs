//! A node that is none: kwok says that the pods on it run. The benchmarks use this file too.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use tempfile::TempDir;

/// Takes only pods that tolerate everything. Its kwok ends when this is dropped.
pub(crate) struct FakeNode {
    client: Client,
    kwok: Child,
    name: String,
    /// Of stages that are not kwok's own.
    _stages: Option<TempDir>,
}

impl FakeNode {
    /// `name` must be this node's alone. `PARTS_KWOK` names the folder with kwok and its stages.
    pub(crate) async fn start(client: Client, name: &str) -> anyhow::Result<Self> {
        let stages = folder()?.join("stages.yaml");
        Self { kwok: kwok(name, &stages)?, client, name: name.to_owned(), _stages: None }.joined().await
    }

    /// Its pods are ready and have no address: nobody tries to speak to them, as nobody would answer.
    #[allow(dead_code, reason = "only the benchmarks use it")]
    pub(crate) async fn start_unreachable(client: Client, name: &str) -> anyhow::Result<Self> {
        let own = fs::read_to_string(folder()?.join("stages.yaml"))?;
        let without = own.replace("{{ with $podIPs }}", "{{ with false }}");
        ensure!(own != without, "kwok's stages give no address in the way that is known here");
        let place = tempfile::tempdir()?;
        let stages = place.path().join("stages.yaml");
        fs::write(&stages, without)?;
        Self { kwok: kwok(name, &stages)?, client, name: name.to_owned(), _stages: Some(place) }
            .joined()
            .await
    }

    async fn joined(self) -> anyhow::Result<Self> {
        Api::<Node>::all(self.client.clone()).create(&PostParams::default(), &made(&self.name)?).await?;
        Ok(self)
    }

    /// Its pods must be gone: nobody says any more that they ended.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        let at_once = DeleteParams::default().grace_period(0);
        Api::<Node>::all(self.client.clone()).delete(&self.name, &at_once).await?;
        Ok(())
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kwok.kill();
        let _ = self.kwok.wait();
    }
}

fn folder() -> anyhow::Result<PathBuf> {
    let folder = env::var_os("PARTS_KWOK").map(PathBuf::from);
    folder.context("PARTS_KWOK must name kwok's folder: tests/cluster/harness/parts builds it")
}

/// kwok for the one node of that name: never for the cluster's own.
fn kwok(name: &str, stages: &Path) -> anyhow::Result<Child> {
    let kubeconfig = env::var_os("KUBECONFIG").context("KUBECONFIG must name a disposable cluster")?;
    let log = fs::File::create(env::temp_dir().join(format!("{name}.kwok.log")))?;
    let kwok = Command::new(folder()?.join("kwok"))
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--config")
        .arg(stages)
        .args(["--manage-all-nodes=false", "--node-ip", "127.0.0.1", "--cidr", "10.200.0.0/16"])
        // Without its lease a node is taken for dead within the minute, and its pods are not ready any more.
        .arg("--node-lease-duration-seconds=40")
        .arg(format!("--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node={name}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(kwok)
}

fn made(name: &str) -> serde_json::Result<Node> {
    let room = json!({ "cpu": "10000", "memory": "100Ti", "pods": "100000" });
    serde_json::from_value(json!({
        "metadata": { "name": name, "annotations": { "kwok.x-k8s.io/node": name },
            "labels": { "type": "kwok", "kubernetes.io/hostname": name } },
        "spec": { "taints": [{ "key": "kwok.x-k8s.io/node", "value": name, "effect": "NoSchedule" }] },
        "status": { "allocatable": room, "capacity": room },
    }))
}
