//! A pod that has written two hundred thousand lines.

use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, LogParams, PostParams},
};
use serde_json::json;

pub(crate) const NAME: &str = "talker";
const LINES: usize = 200_000;
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Talker {
    client: Client,
    pub(crate) namespace: String,
}

impl Talker {
    pub(crate) async fn start(client: &Client) -> anyhow::Result<Self> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let talker = Self { client: client.clone(), namespace: format!("bench-talker-{}", &id[..8]) };
        let made = PostParams::default();
        let space: Namespace = serde_json::from_value(json!({ "metadata": { "name": talker.namespace } }))?;
        Api::<Namespace>::all(client.clone()).create(&made, &space).await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &talker.namespace);
        let script =
            format!("seq 1 {LINES} | sed 's/.*/INFO request & of a user took some time/'; sleep 3600");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": NAME },
            "spec": { "terminationGracePeriodSeconds": 0, "containers": [{
                "name": NAME, "image": "docker.io/pilothouse-test/busybox:1", "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", script] }] },
        }))?;
        let begun = Instant::now();
        // The namespace's account comes a moment after it.
        while pods.create(&made, &pod).await.is_err() {
            ensure!(begun.elapsed() < DEADLINE, "the pod cannot be made");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let last = LogParams { tail_lines: Some(1), ..LogParams::default() };
        let written = format!("request {LINES} of");
        while !pods.logs(NAME, &last).await.is_ok_and(|log| log.contains(&written)) {
            ensure!(begun.elapsed() < DEADLINE, "the lines are not written");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(talker)
    }

    pub(crate) async fn end(self) -> anyhow::Result<()> {
        Api::<Namespace>::all(self.client).delete(&self.namespace, &DeleteParams::default()).await?;
        Ok(())
    }
}
