//! One of all replicas writes, as processes: how fast another takes over, and that a replica which was held up
//! writes nothing more.

use std::time::{Duration, Instant};

use k8s_openapi::{api::apps::v1::Deployment, jiff::Timestamp};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use pilothouse::api::MCPServer;
use serde_json::json;

use crate::support::{
    client,
    own_operator::solo,
    relay::Relay,
    replica::{Replica, api_server, holder},
    wait::until,
};

const SOON: Duration = Duration::from_secs(30);

async fn held_by(client: &Client, namespace: &str, name: &str) {
    until(&format!("{name} leads"), SOON, || async {
        (holder(client, namespace).await == name).then_some(())
    })
    .await;
}

/// Once its metrics say that it is up.
async fn up(replica: &Replica) {
    until("the replica answers", SOON, || replica.metrics()).await;
}

#[tokio::test]
async fn another_replica_takes_over_in_time() {
    let scratch = solo("takeover");
    let client = client::admin().await;
    let first = Replica::start(scratch.name(), "takeover-first", 10);
    held_by(&client, scratch.name(), "takeover-first").await;
    let second = Replica::start(scratch.name(), "takeover-second", 10);
    up(&second).await;
    // A kill: it must be waited for until it has surely stopped.
    let killed = Instant::now();
    first.kill();
    held_by(&client, scratch.name(), "takeover-second").await;
    let waited = killed.elapsed();
    assert!(waited < Duration::from_secs(15), "{waited:?} after a kill");
    assert!(waited > Duration::from_secs(5), "{waited:?}: the dead one might still have been writing");
    let third = Replica::start(scratch.name(), "takeover-third", 10);
    up(&third).await;
    let metrics = third.metrics().await.unwrap_or_default();
    assert!(metrics.contains("pilothouse_operator_leads 0\n"), "{metrics}");
    let stopped = Instant::now();
    second.stop();
    held_by(&client, scratch.name(), "takeover-third").await;
    let waited = stopped.elapsed();
    assert!(waited < Duration::from_secs(2), "{waited:?} after a clean stop: {}", second.said());
    let leads = until("its metrics say that it leads", SOON, || async {
        third.metrics().await.filter(|metrics| metrics.contains("pilothouse_operator_leads 1\n"))
    })
    .await;
    assert!(leads.contains("pilothouse_operator_terms_total 1\n"), "{leads}");
}

#[tokio::test]
async fn a_leader_that_was_held_up_writes_nothing_more() {
    let scratch = solo("stalled");
    let client = client::admin().await;
    let servers = Api::<MCPServer>::namespaced(client.clone(), scratch.name());
    let deployments = Api::<Deployment>::namespaced(client.clone(), scratch.name());
    let image = |image: &str| json!({"image": image, "replicas": 0});
    let deployed = async |name: &str, image: &str| {
        until(&format!("{name} runs {image}"), SOON, || async {
            let deployment = deployments.get_opt(name).await.ok().flatten()?;
            let container = deployment.spec?.template.spec?.containers.into_iter().next()?;
            (container.image.as_deref() == Some(image)).then_some(())
        })
        .await;
    };
    let first = Replica::start(scratch.name(), "stalled-first", 3);
    held_by(&client, scratch.name(), "stalled-first").await;
    for name in ["a", "b", "c"] {
        let spec = serde_json::from_value(image("registry.invalid/demo:1")).expect("the spec parses");
        servers.create(&PostParams::default(), &MCPServer::new(name, spec)).await.expect("it is accepted");
    }
    let second = Replica::start(scratch.name(), "stalled-second", 3);
    up(&second).await;
    // In the midst of its work.
    deployed("a", "registry.invalid/demo:1").await;
    first.stall();
    held_by(&client, scratch.name(), "stalled-second").await;
    let since = Timestamp::now().to_string();
    for name in ["a", "b", "c"] {
        let change = Patch::Merge(json!({"spec": image("registry.invalid/demo:2")}));
        servers.patch(name, &PatchParams::default(), &change).await.expect("the change is accepted");
    }
    for name in ["a", "b", "c"] {
        deployed(name, "registry.invalid/demo:2").await;
    }
    first.wake();
    let follows = until("it knows that it does not lead", SOON, || async {
        first.metrics().await.filter(|metrics| metrics.contains("pilothouse_operator_leads 0\n"))
    });
    follows.await;
    // It would write within this time, if it did.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(holder(&client, scratch.name()).await, "stalled-second");
    let Some(late) = first.writes_since(&since) else { return };
    assert!(late.is_empty(), "the stalled one wrote {late:?}");
    let by_second = second.writes_since(&since).unwrap_or_default();
    assert!(by_second.len() >= 3, "the record tells who wrote: {by_second:?}");
}

#[tokio::test]
async fn an_api_server_that_is_gone_for_a_while_is_waited_for() {
    let Some(server) = api_server() else { return };
    let scratch = solo("outage");
    let client = client::admin().await;
    let servers = Api::<MCPServer>::namespaced(client.clone(), scratch.name());
    let deployments = Api::<Deployment>::namespaced(client.clone(), scratch.name());
    let create = async |name: &str| {
        let spec = json!({"image": "registry.invalid/demo:1", "replicas": 0});
        let server = MCPServer::new(name, serde_json::from_value(spec).expect("the spec parses"));
        servers.create(&PostParams::default(), &server).await.expect("it is accepted");
    };
    let deployed = async |name: &str| {
        until(&format!("{name} is deployed"), SOON, || async {
            deployments.get_opt(name).await.ok().flatten()
        })
        .await;
    };
    let relay = Relay::to(server).await;
    let replica = Replica::start_through(&relay, scratch.name(), "outage-replica", 3);
    create("before").await;
    deployed("before").await;
    relay.refuse();
    until("it serves on and does not lead", SOON, || async {
        replica.metrics().await.filter(|metrics| metrics.contains("pilothouse_operator_leads 0\n"))
    })
    .await;
    create("meanwhile").await;
    relay.accept();
    deployed("meanwhile").await;
    assert!(deployments.get("before").await.is_ok(), "what ran went on");
}
