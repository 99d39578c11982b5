//! One of the operators that are compared, and a real server that it is given.

use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Also its namespace.
pub(crate) struct Side {
    pub(crate) servers: Api<DynamicObject>,
    pub(crate) pods: Api<Pod>,
    kind: ApiResource,
    spec: Value,
}

/// Since the apply, in seconds.
pub(crate) struct Taken {
    /// A first pod runs.
    pub(crate) running: f64,
    /// Its phase is Ready.
    pub(crate) ready: f64,
    /// When it is.
    pub(crate) pods: usize,
}

impl Side {
    /// `kind` is group, version and kind. `spec` is of the test's real server, in that kind's words.
    pub(crate) fn new(client: &Client, namespace: &str, kind: &GroupVersionKind, spec: Value) -> Self {
        let kind = ApiResource::from_gvk(kind);
        Self {
            servers: Api::namespaced_with(client.clone(), namespace, &kind),
            pods: Api::namespaced(client.clone(), namespace),
            kind,
            spec,
        }
    }

    pub(crate) async fn apply(&self, name: &str) -> anyhow::Result<Taken> {
        let mut server = DynamicObject::new(name, &self.kind);
        server.data = json!({ "spec": self.spec });
        let begun = Instant::now();
        self.servers.create(&PostParams::default(), &server).await?;
        let mut running = None;
        loop {
            let pods = self.pods.list(&ListParams::default()).await?.items;
            if running.is_none() && pods.iter().any(is_running) {
                running = Some(begun.elapsed().as_secs_f64());
            }
            let ready = self.servers.get(name).await?.data["status"]["phase"] == "Ready";
            if let (true, Some(running)) = (ready, running) {
                return Ok(Taken { running, ready: begun.elapsed().as_secs_f64(), pods: pods.len() });
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "{name} is not Ready: {:?}",
                self.servers.get(name).await?.data
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Deletes it and waits for its pods to end.
    pub(crate) async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.servers.delete(name, &DeleteParams::background()).await?;
        let begun = Instant::now();
        while self.servers.get_opt(name).await?.is_some()
            || !self.pods.list(&ListParams::default()).await?.items.is_empty()
        {
            ensure!(begun.elapsed() < PATIENCE, "{name} does not go");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}
