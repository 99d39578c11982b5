//! A node that is none: kwok says that the pods on it run. The benchmarks use this file too.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

/// Takes only pods that tolerate everything. Its kwok ends when this is dropped.
pub(crate) struct FakeNode {
    client: Client,
    kwok: Child,
    name: String,
}

impl FakeNode {
    /// `name` must be this node's alone. `PARTS_KWOK` names the folder with kwok and its stages.
    pub(crate) async fn start(client: Client, name: &str) -> anyhow::Result<Self> {
        let node = Self { kwok: kwok(name)?, client, name: name.to_owned() };
        Api::<Node>::all(node.client.clone()).create(&PostParams::default(), &made(name)?).await?;
        Ok(node)
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

/// kwok for the one node of that name: never for the cluster's own.
fn kwok(name: &str) -> anyhow::Result<Child> {
    let folder = env::var_os("PARTS_KWOK").map(PathBuf::from);
    let folder =
        folder.context("PARTS_KWOK must name kwok's folder: tests/cluster/harness/parts builds it")?;
    let kubeconfig = env::var_os("KUBECONFIG").context("KUBECONFIG must name a disposable cluster")?;
    let log = fs::File::create(env::temp_dir().join(format!("{name}.kwok.log")))?;
    let kwok = Command::new(folder.join("kwok"))
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--config")
        .arg(folder.join("stages.yaml"))
        .args(["--manage-all-nodes=false", "--node-ip", "127.0.0.1", "--cidr", "10.200.0.0/16"])
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
