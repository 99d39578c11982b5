//! A real MCP server from a real image, which is on the node already: from apply to Ready, and what a change takes.
//! Where ToolHive's operator is there it is given the same server, in turns.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::json;

use crate::{
    sample::Sample,
    side::{Side, Taken},
    size::Size,
    support::{own_operator::solo, process::megabytes, replica::Replica},
    toolhive::Toolhive,
};

const NAME: &str = "every";
const PATIENCE: Duration = Duration::from_secs(120);
const LEASE_SECONDS: u8 = 10;
const CHANGES: usize = 3;

/// One operator. Seconds, the median and the worst; MB.
pub(crate) struct Operated {
    pub(crate) running: (f64, f64),
    pub(crate) ready: (f64, f64),
    pub(crate) pods: usize,
    /// Of the operator's process after the last round, and at its peak.
    pub(crate) memory: f64,
    pub(crate) peak: f64,
}

pub(crate) struct Real {
    pub(crate) ours: Operated,
    pub(crate) peer: Option<Operated>,
    /// From a change of the spec until children and status say it: the worst.
    pub(crate) converged: f64,
    /// ... until only its new pod is there, and ready: the worst.
    pub(crate) rolled: f64,
}

pub(crate) async fn measure(client: &Client, size: &Size) -> anyhow::Result<Real> {
    let scratch = tokio::task::spawn_blocking(|| solo("real")).await?;
    let replica = Replica::start(scratch.name(), scratch.name(), LEASE_SECONDS);
    let kind = GroupVersionKind::gvk("pilothouse.dev", "v1alpha1", "MCPServer");
    let spec = json!({
        "image": "docker.io/pilothouse-test/everything:1", "imagePullPolicy": "IfNotPresent",
        "command": ["node", "dist/index.js", "streamableHttp"],
        "port": 3001, "env": [{ "name": "PORT", "value": "3001" }],
    });
    let ours = Side::new(client, scratch.name(), &kind, spec);
    let peer = Toolhive::start().await?;
    let measured = with(client, scratch.name(), &ours, &replica, peer.as_ref(), size.rounds).await;
    // Whatever came out, nothing stays behind; the namespace of ours goes with its name.
    let ended = match peer {
        Some(peer) => peer.end().await,
        None => Ok(()),
    };
    let measured = measured?;
    ended?;
    Ok(measured)
}

async fn with(
    client: &Client,
    namespace: &str,
    ours: &Side,
    replica: &Replica,
    peer: Option<&Toolhive>,
    rounds: usize,
) -> anyhow::Result<Real> {
    let theirs = peer.map(|peer| peer.side(client));
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    // The first of each is not counted: it finds out what there is.
    for round in 0..=rounds {
        of_ours.extend((round > 0).then_some(once(ours).await?));
        if let Some(theirs) = &theirs {
            of_theirs.extend((round > 0).then_some(once(theirs).await?));
        }
    }
    let operated_by_us = operated(&of_ours, replica.process())?;
    let operated_by_peer = peer.map(|peer| operated(&of_theirs, peer.process())).transpose()?;
    ours.apply(NAME).await?;
    let (mut converged, mut rolled) = (0.0_f64, 0.0_f64);
    for change in 0..CHANGES {
        let (now_converged, now_rolled) = change_once(client, namespace, ours, change).await?;
        (converged, rolled) = (converged.max(now_converged), rolled.max(now_rolled));
    }
    ours.delete(NAME).await?;
    Ok(Real { ours: operated_by_us, peer: operated_by_peer, converged, rolled })
}

async fn once(side: &Side) -> anyhow::Result<Taken> {
    let taken = side.apply(NAME).await?;
    side.delete(NAME).await?;
    Ok(taken)
}

fn operated(taken: &[Taken], process: u32) -> anyhow::Result<Operated> {
    let of = |which: fn(&Taken) -> f64| {
        let mut sample = Sample::default();
        taken.iter().for_each(|one| sample.add(Duration::from_secs_f64(which(one))));
        (sample.at(0.5) / 1_000.0, sample.at(1.0) / 1_000.0)
    };
    Ok(Operated {
        running: of(|one| one.running),
        ready: of(|one| one.ready),
        pods: taken.iter().map(|one| one.pods).max().unwrap_or_default(),
        memory: megabytes(process, "VmRSS")?,
        peak: megabytes(process, "VmHWM")?,
    })
}

/// Seconds until the change is in place, and until it is rolled out.
async fn change_once(
    client: &Client,
    namespace: &str,
    ours: &Side,
    change: usize,
) -> anyhow::Result<(f64, f64)> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let text = format!("change-{change}");
    let env = json!([{ "name": "PORT", "value": "3001" }, { "name": "CHANGED", "value": text }]);
    let begun = Instant::now();
    let patch = Patch::Merge(json!({ "spec": { "env": env } }));
    let generation = ours.servers.patch(NAME, &PatchParams::default(), &patch).await?.metadata.generation;
    let generation = generation.context("a stored object has a generation")?;
    let mut converged = None;
    loop {
        let deployment = deployments.get(NAME).await?;
        let carries = serde_json::to_string(&deployment.spec)?.contains(&text);
        let server = ours.servers.get(NAME).await?;
        if converged.is_none() && carries && server.data["status"]["observedGeneration"] == generation {
            converged = Some(begun.elapsed().as_secs_f64());
        }
        if let (Some(converged), true) = (converged, is_rolled(&deployment)) {
            return Ok((converged, begun.elapsed().as_secs_f64()));
        }
        ensure!(begun.elapsed() < PATIENCE, "the change is not rolled out: {:?}", deployment.status);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

fn is_rolled(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    status.observed_generation == deployment.metadata.generation
        && status.replicas == Some(1)
        && status.updated_replicas == Some(1)
        && status.available_replicas == Some(1)
}
