//! Very many MCPServers whose pods cost nothing, in a namespace and on a node of their own.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Namespace, Pod, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
    },
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use pilothouse::api::MCPServer;
use serde_json::json;

use crate::support::{fake_node::FakeNode, namespace::Scratch, own_operator::solo};

const AT_ONCE: usize = 16;
/// What every server has; a label of each child.
const CHILDREN: &str = "app.kubernetes.io/managed-by=pilothouse";

pub(crate) struct Fleet {
    client: Client,
    scratch: Scratch,
    node: FakeNode,
    pub(crate) servers: Api<MCPServer>,
}

impl Fleet {
    pub(crate) async fn start(client: &Client) -> anyhow::Result<Self> {
        let scratch = tokio::task::spawn_blocking(|| solo("thousand")).await?;
        let node = FakeNode::start_unreachable(client.clone(), scratch.name()).await?;
        let servers = Api::namespaced(client.clone(), scratch.name());
        Ok(Self { client: client.clone(), scratch, node, servers })
    }

    pub(crate) fn namespace(&self) -> &str {
        self.scratch.name()
    }

    pub(crate) fn name(at: usize) -> String {
        format!("server-{at:05}")
    }

    /// Creates them all; answers when each was sent.
    pub(crate) async fn create(&self, count: usize) -> anyhow::Result<Vec<Instant>> {
        let spec = json!({
            "image": "registry.invalid/demo:1",
            "nodeSelector": { "kubernetes.io/hostname": self.namespace() },
            "tolerations": [{ "operator": "Exists" }],
        });
        let spec = &serde_json::from_value(spec)?;
        let create = |at: usize| async move {
            let sent = Instant::now();
            self.servers
                .create(&PostParams::default(), &MCPServer::new(&Self::name(at), Clone::clone(spec)))
                .await?;
            anyhow::Ok(sent)
        };
        stream::iter((0..count).map(create)).buffered(AT_ONCE).try_collect().await
    }

    /// Changes the first of them; answers when each was sent and which generation it became.
    pub(crate) async fn change(&self, count: usize) -> anyhow::Result<Vec<(Instant, i64)>> {
        let change = |at: usize| async move {
            let patch = json!({ "spec": { "env": [{ "name": "CHANGED", "value": "once" }] } });
            let sent = Instant::now();
            let changed =
                self.servers.patch(&Self::name(at), &PatchParams::default(), &Patch::Merge(patch)).await?;
            Ok((sent, changed.metadata.generation.context("a stored object has a generation")?))
        };
        stream::iter((0..count).map(change)).buffered(AT_ONCE).try_collect().await
    }

    /// That each server has what it declares: `count` of every kind of child.
    pub(crate) async fn is_whole(&self, count: usize) -> anyhow::Result<()> {
        let found = [
            ("Deployments", self.count::<Deployment>().await?),
            ("Services", self.count::<Service>().await?),
            ("ServiceAccounts", self.count::<ServiceAccount>().await?),
            ("NetworkPolicies", self.count::<NetworkPolicy>().await?),
        ];
        for (kind, found) in found {
            ensure!(found == count, "{found} {kind} of {count} servers");
        }
        Ok(())
    }

    async fn count<K>(&self) -> anyhow::Result<usize>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let all = Api::<K>::namespaced(self.client.clone(), self.namespace());
        Ok(all.list_metadata(&ListParams::default().labels(CHILDREN)).await?.items.len())
    }

    /// Deletes all of it, and waits until it is gone.
    pub(crate) async fn end(self, within: Duration) -> anyhow::Result<()> {
        let Self { client, scratch, node, servers: _ } = self;
        let namespaces = Api::<Namespace>::all(client.clone());
        namespaces.delete(scratch.name(), &DeleteParams::default()).await?;
        let pods = Api::<Pod>::namespaced(client, scratch.name());
        let at_once = DeleteParams::default().grace_period(0);
        let begun = Instant::now();
        while namespaces.get_opt(scratch.name()).await?.is_some() {
            ensure!(
                begun.elapsed() < within,
                "the namespace {} is still there after {within:?}",
                scratch.name()
            );
            // Slower by the namespace's own controller; one that takes too long is asked again.
            let _ = pods.delete_collection(&at_once, &ListParams::default()).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        node.remove().await
    }
}
