//! From a pod that is Ready to its tool in a connected client, in the cluster of `KUBECONFIG`.

use std::{env, time::Duration, time::Instant};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Namespace, Pod, Secret, Service},
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};

use crate::sample::Sample;

const ROUNDS: usize = 3;

pub(crate) async fn measure() -> anyhow::Result<()> {
    if env::var_os("KUBECONFIG").is_none() {
        println!("pod Ready to tool visible: not measured, KUBECONFIG is not set");
        return Ok(());
    }
    let client = Client::try_default().await?;
    if Api::<StatefulSet>::namespaced(client.clone(), "pilothouse").get_opt("pilothouse").await?.is_none() {
        println!("pod Ready to tool visible: not measured, pilothouse is not installed in this cluster");
        return Ok(());
    }
    let namespace = format!("bench-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let made = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.create(&PostParams::default(), &made).await?;
    let mut sample = Sample::default();
    let mut outcome = Ok(());
    for round in 0..ROUNDS {
        match tokio::time::timeout(Duration::from_secs(90), once(&client, &namespace, round)).await {
            Ok(Ok(taken)) => sample.add(taken),
            Ok(Err(error)) => outcome = Err(error),
            Err(_) => outcome = Err(anyhow::anyhow!("the tool was not seen within 90 s")),
        }
    }
    namespaces.delete(&namespace, &DeleteParams::default()).await?;
    outcome?;
    println!("pod Ready to tool visible: p50 {:.0} ms, worst {:.0} ms", sample.at(0.5), sample.at(1.0));
    Ok(())
}

async fn once(client: &Client, namespace: &str, round: usize) -> anyhow::Result<Duration> {
    let name = format!("every{round}");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("pilothouse.dev", "v1alpha1", "MCPServer"));
    let servers: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let server = serde_json::from_value(json!({
        "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer", "metadata": {"name": name},
        "spec": {
            "image": "docker.io/pilothouse-test/everything:1", "imagePullPolicy": "IfNotPresent",
            "command": ["node", "dist/index.js", "streamableHttp"],
            "port": 3001, "env": [{"name": "PORT", "value": "3001"}]
        }
    }))?;
    let tool = format!("{name}_echo");
    let http = Http::new(client).await?;
    let seen = tokio::spawn(async move { http.until_listed(&tool).await });
    servers.create(&PostParams::default(), &server).await?;
    let ready = until_ready(client, namespace, &name).await?;
    let seen = seen.await??;
    servers.delete(&name, &DeleteParams::default()).await?;
    // The watch of the bench may be told later than that of the program.
    Ok(seen.saturating_duration_since(ready))
}

async fn until_ready(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Instant> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().labels(&format!("app.kubernetes.io/instance={name}"));
    let mut pods = watcher(pods, config).applied_objects().boxed();
    while let Some(pod) = pods.try_next().await? {
        let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
        if conditions.iter().any(|each| each.type_ == "Ready" && each.status == "True") {
            return Ok(Instant::now());
        }
    }
    bail!("the watch of pods ended")
}

/// A client of the installed pilothouse. This machine is a node's host: it reaches the Service's address.
struct Http {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Http {
    async fn new(client: &Client) -> anyhow::Result<Self> {
        let service = Api::<Service>::namespaced(client.clone(), "pilothouse").get("pilothouse").await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?;
        let secret = Api::<Secret>::namespaced(client.clone(), "pilothouse").get("pilothouse-token").await?;
        let token = secret.data.and_then(|mut data| data.remove("token")).context("no token")?;
        Ok(Self {
            client: reqwest::Client::builder().tcp_nodelay(true).build()?,
            url: format!("http://{address}/mcp"),
            token: String::from_utf8(token.0)?,
        })
    }

    /// A request of the newest revision, as a client sends it.
    fn request(&self, method: &str, mut params: Value) -> reqwest::RequestBuilder {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"}
        });
        self.client
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method)
            .header("host", "pilothouse.pilothouse.svc")
            .bearer_auth(&self.token)
            .json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    }

    /// Learns of changes by subscription alone, as a client does.
    async fn until_listed(&self, tool: &str) -> anyhow::Result<Instant> {
        let filter = json!({"notifications": {"toolsListChanged": true}});
        let response = self.request("subscriptions/listen", filter).send().await?.error_for_status()?;
        let mut changes = response.bytes_stream();
        loop {
            let listed: Value = self.request("tools/list", json!({})).send().await?.json().await?;
            let tools = listed["result"]["tools"].as_array().with_context(|| format!("no list: {listed}"))?;
            if tools.iter().any(|each| each["name"] == tool) {
                return Ok(Instant::now());
            }
            if changes.try_next().await?.is_none() {
                bail!("the subscription ended");
            }
        }
    }
}
