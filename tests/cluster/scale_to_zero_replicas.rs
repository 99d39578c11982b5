//! `scaleToZero` with two replicas as processes: use of either keeps the server awake, and a call of either wakes it.

use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Node, Pod},
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use pilothouse::{api::MCPServer, gateway::ServerName, operator::Peers};
use serde_json::{Value, json};

use crate::support::{
    client, kubectl,
    own_operator::solo,
    replica::{Replica, holder},
    wait::until,
    whole::{NAME, STARTED, Whole, spec, tool},
};

const TOOL: &str = "demo_look";
/// As declared below.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// Each replica must know the other's before either runs.
fn two_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address"))
}

fn sleepy() -> Value {
    let mut sleepy = spec("awake", &json!([tool("look", json!({ "type": "object" }))]));
    sleepy["scaleToZero"] = json!({ "idleAfter": "10s", "wakeTimeout": "60s" });
    sleepy
}

async fn lists(replica: &Replica) -> Option<()> {
    let answer = replica.ask("tools/list", json!({})).await?;
    answer["result"]["tools"].as_array()?.iter().any(|tool| tool["name"] == TOOL).then_some(())
}

async fn call(replica: &Replica) -> String {
    let answer = replica.ask("tools/call", json!({ "name": TOOL, "arguments": {} })).await;
    answer.map_or_else(String::new, |answer| answer["result"]["content"][0]["text"].to_string())
}

/// What the replica tells of the server.
async fn usage(replica: &Replica) -> Option<Value> {
    let said: Value = serde_json::from_str(&replica.on_health_port("use").await?).ok()?;
    let servers = said["servers"].as_array()?;
    servers.iter().find(|server| server["name"] == NAME).cloned()
}

async fn has_not_used_it_for(replica: &Replica, seconds: u64) -> Option<()> {
    (usage(replica).await?["idleSeconds"].as_u64()? >= seconds).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_the_follower_keep_it_awake_and_wake_it() {
    let scratch = solo("sleep-replicas");
    let client = client::admin().await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), scratch.name());
    let pods: Api<Pod> = Api::namespaced(client.clone(), scratch.name());
    let replicas = async || deployments.get(NAME).await.ok()?.spec?.replicas;
    let [one, other] = two_addresses();
    let leader = Replica::start_beside(scratch.name(), "sleep-leader", 10, one, vec![other]);
    until("it leads", STARTED, || async {
        (holder(&client, scratch.name()).await == "sleep-leader").then_some(())
    })
    .await;
    let follower = Replica::start_beside(scratch.name(), "sleep-follower", 10, other, vec![one]);
    let server = MCPServer::new(NAME, serde_json::from_value(sleepy()).expect("the spec parses"));
    let servers = Api::<MCPServer>::namespaced(client.clone(), scratch.name());
    servers.create(&PostParams::default(), &server).await.expect("it is accepted");
    until("the follower lists its tool", STARTED, || lists(&follower)).await;
    until("the leader lists its tool", STARTED, || lists(&leader)).await;

    // More than twice the time, and the leader knows of no call.
    let since = Instant::now();
    while since.elapsed() < 2 * IDLE_AFTER + Duration::from_secs(3) {
        assert_eq!(call(&follower).await, r#""awake look""#, "{}", follower.said());
        assert_eq!(replicas().await, Some(1), "after {:?}: {}", since.elapsed(), leader.said());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    has_not_used_it_for(&leader, 20).await.expect("the leader itself saw no use of it");

    // A follower that says nothing may have callers.
    follower.stall();
    until("the time has passed once more", STARTED, || has_not_used_it_for(&leader, 40)).await;
    assert_eq!(replicas().await, Some(1), "{}", leader.said());
    follower.wake();

    let gone = async || pods.list(&ListParams::default()).await.ok()?.items.is_empty().then_some(());
    until("it has no pods", STARTED, || async {
        gone().await?;
        (replicas().await == Some(0)).then_some(())
    })
    .await;
    lists(&follower).await.expect("the follower still lists it");

    let since = Instant::now();
    assert_eq!(call(&follower).await, r#""awake look""#, "{}", follower.said());
    eprintln!("woken through the follower and answered within {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(60));
    assert_eq!(replicas().await, Some(1));
    until("it sleeps again", STARTED, || async { (replicas().await == Some(0)).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_found_by_the_slices_of_their_service() {
    let scratch = solo("sleep-found");
    let found = Peers::Found { own_pod: "own".to_owned(), port: 8081 };
    let whole = Whole::start_so(scratch.name(), |settings| settings.peers = found).await;
    let deployments: Api<Deployment> = Api::namespaced(whole.client.clone(), scratch.name());
    let replicas = async || deployments.get(NAME).await.ok()?.spec?.replicas;
    // A machine that is there, and on which no replica answers.
    let nodes = Api::<Node>::all(whole.client.clone()).list(&ListParams::default()).await.expect("nodes");
    let addresses = nodes.items.into_iter().flat_map(|node| node.status?.addresses).flatten();
    let address = addresses.filter(|address| address.type_ == "InternalIP").map(|address| address.address);
    let address = address.into_iter().next().expect("its address");
    kubectl::apply(&format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {{name: peers, namespace: {}, labels: {{kubernetes.io/service-name: pilothouse-peers}}}}\n\
         ports: [{{name: http, port: 8080, protocol: TCP}}]\n\
         endpoints: [{{addresses: [{address}], targetRef: {{kind: Pod, name: other}}}}]\n",
        scratch.name()
    ));
    whole.create(sleepy()).await;
    whole.is_listed(TOOL).await;
    let name = ServerName { namespace: scratch.name().to_owned(), name: NAME.to_owned() };
    until("nobody has used it for twice the time", STARTED, || async {
        whole.gateway.idle_for(&name).filter(|idle| *idle >= 2 * IDLE_AFTER)
    })
    .await;
    assert_eq!(replicas().await, Some(1), "another replica says nothing of its use");
    kubectl::run(&["-n", scratch.name(), "delete", "endpointslice", "peers"]);
    until("it sleeps", STARTED, || async { (replicas().await == Some(0)).then_some(()) }).await;
}
