//! Thousands of pods that cost nothing: kwok says that they run, on a node that is none. The benchmark of the tools
//! uses this file too.

use std::time::Duration;

use anyhow::ensure;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::fake_node::FakeNode;

const POSTS_AT_ONCE: usize = 32;
/// Deletions of a collection work one after another: each gets its own share of the pods.
const SHARDS: usize = 16;
const DEADLINE: Duration = Duration::from_secs(300);

/// Pods named `pod-00000` and on, in a namespace of their own.
pub(crate) struct Crowd {
    client: Client,
    node: FakeNode,
    pub(crate) namespace: String,
}

impl Crowd {
    /// See [`FakeNode::start`].
    pub(crate) async fn gather(client: Client, count: usize) -> anyhow::Result<Self> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let namespace = format!("test-crowd-{}", &id[..8]);
        let crowd = Self { node: FakeNode::start(client.clone(), &namespace).await?, client, namespace };
        let Self { client, namespace, .. } = &crowd;
        let made = PostParams::default();
        let space: Namespace = serde_json::from_value(json!({ "metadata": { "name": namespace } }))?;
        Api::<Namespace>::all(client.clone()).create(&made, &space).await?;
        until_account(client, namespace).await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let posted = stream::iter((0..count).map(Ok)).try_for_each_concurrent(POSTS_AT_ONCE, |at| {
            let (pods, made, pod) = (&pods, &made, pod(namespace, at));
            async move { anyhow::Ok(pods.create(made, &pod?).await.map(drop)?) }
        });
        posted.await?;
        let begun = Instant::now();
        let not_yet = ListParams::default().fields("status.phase!=Running").limit(1);
        while !pods.list(&not_yet).await?.items.is_empty() {
            ensure!(begun.elapsed() < DEADLINE, "kwok's pods do not run");
            sleep(Duration::from_millis(500)).await;
        }
        Ok(crowd)
    }

    /// Deletes all of it, and waits for the pods.
    pub(crate) async fn disperse(self) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let at_once = DeleteParams::default().grace_period(0);
        let begun = Instant::now();
        while !pods.list(&ListParams::default().limit(1)).await?.items.is_empty() {
            ensure!(begun.elapsed() < DEADLINE, "the pods do not go");
            let deleted = (0..SHARDS).map(|shard| {
                let (pods, at_once) = (pods.clone(), at_once.clone());
                let share = ListParams::default().labels(&format!("shard={shard}"));
                // One that takes too long is asked again.
                async move { pods.delete_collection(&at_once, &share).await.map(drop) }
            });
            stream::iter(deleted).buffer_unordered(SHARDS).collect::<Vec<_>>().await;
        }
        self.node.remove().await?;
        Api::<Namespace>::all(self.client).delete(&self.namespace, &DeleteParams::default()).await?;
        Ok(())
    }
}

fn pod(node: &str, at: usize) -> serde_json::Result<Pod> {
    let labels = json!({
        "app": format!("app-{}", at % 50), "shard": (at % SHARDS).to_string(), "team": "crowd",
        "app.kubernetes.io/part-of": "crowd", "pod-template-hash": "6c8d9f7b5c",
    });
    serde_json::from_value(json!({
        "metadata": { "name": format!("pod-{at:05}"), "labels": labels },
        "spec": {
            "nodeName": node,
            "tolerations": [{ "operator": "Exists" }],
            "containers": [{ "name": "main", "image": "example.test/none:1",
                "env": [{ "name": "LOG_LEVEL", "value": "info" }, { "name": "PORT", "value": "8080" }],
                "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } } }],
        },
    }))
}

/// A namespace takes pods once it has its default account.
async fn until_account(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
        Api::namespaced(client.clone(), namespace);
    let begun = Instant::now();
    while accounts.get_opt("default").await?.is_none() {
        ensure!(begun.elapsed() < DEADLINE, "the namespace has no default account");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
