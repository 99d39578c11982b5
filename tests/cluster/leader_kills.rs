//! The leader is killed again and again while servers come and go: what is there at the end is what is declared.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Service, ServiceAccount},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use pilothouse::api::{MCPServer, mcp_server::Phase};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::support::{
    client,
    own_operator::solo,
    replica::{Replica, holder},
    wait::until,
};

const KILLS: usize = 20;
const OPERATIONS: usize = 200;
const LEASE_SECONDS: u8 = 3;

/// Below `limit`.
fn random(limit: usize) -> usize {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    usize::try_from(high % u64::try_from(limit.max(1)).expect("a small number")).expect("a small number")
}

/// What of a kind an MCPServer owns, as `name` to the owner's uid; what nobody owns is not ours.
async fn owned<K>(client: &Client, namespace: &str) -> Option<BTreeMap<String, String>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let list = Api::<K>::namespaced(client.clone(), namespace).list(&ListParams::default()).await.ok()?;
    let ours = list.items.iter().filter_map(|child| {
        let owner = child.owner_references().iter().find(|owner| owner.kind == "MCPServer")?;
        Some((child.name_any(), owner.uid.clone()))
    });
    Some(ours.collect())
}

/// One creation or deletion; some names come again.
async fn operate(servers: &Api<MCPServer>, declared: &mut BTreeSet<String>, step: usize) {
    let wants_less = declared.len() > 60 || (declared.len() > 10 && random(5) < 2);
    if wants_less {
        let name = declared.iter().nth(random(declared.len())).cloned().expect("there is one");
        servers.delete(&name, &DeleteParams::background()).await.expect("it can be deleted");
        declared.remove(&name);
        return;
    }
    let name = format!("s{}", if step.is_multiple_of(3) { random(step + 1) } else { step });
    if !declared.insert(name.clone()) {
        return;
    }
    let spec = json!({"image": "registry.invalid/demo:1", "replicas": 0});
    let server = MCPServer::new(&name, serde_json::from_value(spec).expect("the spec parses"));
    // One of this name may be on its way out.
    until("the name is free", Duration::from_secs(30), || async {
        servers.create(&PostParams::default(), &server).await.ok()
    })
    .await;
}

/// Replicas come and their leaders are killed, each some time after it began to lead.
async fn kill_leaders(client: &Client, namespace: &str) -> Vec<Replica> {
    let start = |number: usize| Replica::start(namespace, &format!("kills-{number}"), LEASE_SECONDS);
    let mut replicas: Vec<Replica> = (0..3).map(start).collect();
    for kill in 0..KILLS {
        let at = until("one of them leads", Duration::from_secs(60), || async {
            let holder = holder(client, namespace).await;
            replicas.iter().position(|replica| replica.name == holder)
        })
        .await;
        tokio::time::sleep(Duration::from_millis(u64::try_from(random(1500)).expect("a small number"))).await;
        replicas.remove(at).kill();
        replicas.push(start(3 + kill));
    }
    replicas
}

#[tokio::test]
async fn children_are_those_declared_however_often_the_leader_dies() {
    let scratch = solo("kills");
    let client = client::admin().await;
    let servers = Api::<MCPServer>::namespaced(client.clone(), scratch.name());
    let begun = Instant::now();
    let killing = tokio::spawn({
        let (client, namespace) = (client.clone(), scratch.name().to_owned());
        async move { kill_leaders(&client, &namespace).await }
    });
    let mut declared = BTreeSet::new();
    for step in 0..OPERATIONS {
        operate(&servers, &mut declared, step).await;
        // Spread over the time that the kills take.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let replicas = killing.await.expect("the killing went through");
    let expected: BTreeMap<String, String> = servers
        .list(&ListParams::default())
        .await
        .expect("servers can be listed")
        .iter()
        .map(|server| (server.name_any(), server.uid().expect("a uid")))
        .collect();
    assert_eq!(expected.keys().cloned().collect::<BTreeSet<_>>(), declared);
    let name = scratch.name();
    let all_true = || async {
        let is = |children: Option<BTreeMap<String, String>>| children.as_ref() == Some(&expected);
        let right = is(owned::<Deployment>(&client, name).await)
            && is(owned::<Service>(&client, name).await)
            && is(owned::<ServiceAccount>(&client, name).await);
        let told = servers.list(&ListParams::default()).await.ok()?.items.iter().all(|server| {
            let status = server.status.clone().unwrap_or_default();
            status.phase == Some(Phase::Stopped) && status.observed_generation == server.metadata.generation
        });
        (right && told).then_some(())
    };
    until("children are those declared", Duration::from_secs(60), all_true).await;
    println!(
        "{KILLS} kills during {OPERATIONS} creations and deletions: {} servers right after {:?}",
        expected.len(),
        begun.elapsed()
    );
    drop(replicas);
}
