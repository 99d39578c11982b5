//! MCPPools with real pods: several MCPServers that appear as one, before a call, during one, and in their status.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::{join, join_all};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use pilothouse::{
    api::{MCPPool, MCPServer},
    gateway::{
        Kind, Request, Route, Seats,
        wire::{Era, text},
    },
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{
    kubectl,
    own_operator::solo,
    wait::until,
    whole::{STARTED, Whole, spec, tool},
};

/// For what the operator and the gateway do by themselves, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A namespace with pools.
struct Pools {
    whole: Whole,
    namespace: String,
    pools: Api<MCPPool>,
    pods: Api<Pod>,
}

impl Pools {
    async fn start(namespace: &str) -> Self {
        let whole = Whole::start(namespace).await;
        let pools = Api::namespaced(whole.client.clone(), namespace);
        let pods = Api::namespaced(whole.client.clone(), namespace);
        Self { whole, namespace: namespace.to_owned(), pools, pods }
    }

    /// A server that says its own name, and has the tool `look` and these.
    async fn server(&self, name: &str, pool: &str, more: &[&str], change: Value) {
        let mut tools = vec![tool("look", json!({ "type": "object" }))];
        tools.extend(more.iter().map(|name| tool(name, json!({ "type": "object" }))));
        let mut declared = spec(name, &json!(tools));
        declared.as_object_mut().unwrap().append(&mut change.as_object().unwrap().clone());
        let mut server = MCPServer::new(name, serde_json::from_value(declared).unwrap());
        server.metadata.labels = Some([("pool".to_owned(), pool.to_owned())].into());
        self.whole.servers.create(&PostParams::default(), &server).await.expect("the MCPServer is accepted");
    }

    async fn pool(&self, name: &str, wants: &str) {
        let spec = json!({ "selector": { "matchLabels": { "pool": wants } } });
        let pool = MCPPool::new(name, serde_json::from_value(spec).unwrap());
        self.pools.create(&PostParams::default(), &pool).await.expect("the MCPPool is accepted");
    }

    fn tools(&self) -> Vec<String> {
        self.whole.gateway.catalogue().of_kind(Kind::Tool).map(|entry| entry.name.clone()).collect()
    }

    async fn tools_become(&self, wanted: &[&str]) {
        until(&format!("the tools are {wanted:?}"), STARTED, || async {
            (self.tools() == wanted).then_some(())
        })
        .await;
    }

    /// Waits for the members, each with whether it is ready, as the status tells.
    async fn members_become(&self, pool: &str, wanted: &[(&str, bool)]) {
        until(&format!("the members of {pool} are {wanted:?}"), STARTED, || async {
            let status = self.pools.get(pool).await.ok()?.status?;
            let members: Vec<(&str, bool)> =
                status.members.iter().map(|member| (member.name.as_str(), member.ready)).collect();
            (members == wanted).then_some(())
        })
        .await;
    }

    /// Who answers a call in this session.
    async fn asks(&self, seats: &Arc<Seats>, tool: &str) -> String {
        let catalogue = self.whole.gateway.catalogue();
        let entry = catalogue.find(Kind::Tool, tool).expect("the tool is listed");
        let Route::Downstream { server, original } = entry.route.clone() else { panic!("{tool} is ours") };
        let params = Some(text::raw(&json!({ "name": original, "arguments": {} })));
        let (method, seats) = ("tools/call".to_owned(), Some(seats.clone()));
        let request = Request { server: server.as_ref().clone(), method, params, era: Era::Legacy, seats };
        let answer = self.whole.gateway.call(request, mpsc::channel(16).0).await.expect("an answer");
        let answer: Value = serde_json::from_str(answer.get()).unwrap();
        assert_ne!(answer["isError"], true, "{answer}");
        answer["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Who answers, each in a session of its own, when so many ask at once.
    async fn crowd(&self, tool: &str, count: usize) -> BTreeSet<String> {
        let sessions: Vec<Arc<Seats>> = (0..count).map(|_| Arc::default()).collect();
        join_all(sessions.iter().map(|session| self.asks(session, tool))).await.into_iter().collect()
    }

    /// Makes the operator look at a server so many times, over a second or two.
    async fn touch(&self, server: &str, times: u32) {
        for time in 0..times {
            let patch =
                Patch::Merge(json!({ "metadata": { "annotations": { "touched": time.to_string() } } }));
            self.whole.servers.patch(server, &PatchParams::default(), &patch).await.expect("it is touched");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn label(&self, server: &str, pool: &str) {
        let patch = Patch::Merge(json!({ "metadata": { "labels": { "pool": pool } } }));
        self.whole.servers.patch(server, &PatchParams::default(), &patch).await.expect("it is labelled");
    }

    /// `status reason: message` of a condition of a server.
    async fn registered(&self, server: &str, says: &str) {
        until(&format!("{server} says {says}"), SOON, || async {
            let conditions = self.whole.servers.get(server).await.ok()?.status?.conditions;
            let one = conditions.into_iter().find(|condition| condition.type_ == "Registered")?;
            format!("{} {}: {}", one.status, one.reason, one.message).contains(says).then_some(())
        })
        .await;
    }

    async fn replicas(&self, server: &str) -> Option<i32> {
        let deployments: Api<Deployment> = Api::namespaced(self.whole.client.clone(), &self.namespace);
        deployments.get(server).await.ok()?.spec?.replicas
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_servers_appear_as_one_and_by_themselves_again() {
    let scratch = solo("pool");
    let pools = Pools::start(scratch.name()).await;
    let namespace = scratch.name();
    pools.server("find-a", "search", &[], json!({})).await;
    pools.server("find-b", "search", &["only"], json!({ "replicas": 2 })).await;
    pools.tools_become(&["finda_look", "findb_look", "findb_only"]).await;
    pools.pool("finder", "search").await;
    pools.tools_become(&["finder_look", "finder_only"]).await;
    kubectl::run(&["-n", namespace, "wait", "--for=condition=Available", "--timeout=60s", "mcppool/finder"]);
    pools.members_become("finder", &[("find-a", true), ("find-b", true)]).await;
    kubectl::run(&[
        "-n",
        namespace,
        "wait",
        "--for=jsonpath={.status.phase}=Ready",
        "--timeout=60s",
        "mcppool/finder",
    ]);
    let columns = kubectl::run(&["-n", namespace, "get", "mcppools", "--no-headers"]);
    let columns: Vec<&str> = columns.split_whitespace().collect();
    assert_eq!(columns[..5], ["finder", "Ready", "2", "2", "2"], "name, phase, ready, members, tools");
    pools.registered("find-a", "True InPool: Presented by the MCPPool finder").await;

    // Both answer, a session stays where it is, and a tool is called where it is.
    until("both members answer", SOON, || async {
        let by = pools.crowd("finder_look", 16).await;
        (by == BTreeSet::from(["find-a look".to_owned(), "find-b look".to_owned()])).then_some(())
    })
    .await;
    assert_eq!(pools.crowd("finder_only", 8).await, BTreeSet::from(["find-b only".to_owned()]));
    let sessions: Vec<Arc<Seats>> = (0..6).map(|_| Arc::default()).collect();
    for session in &sessions {
        let first = pools.asks(session, "finder_look").await;
        let again = join_all((0..8).map(|_| pools.asks(session, "finder_look"))).await;
        assert!(again.iter().all(|by| *by == first), "{first}, then {again:?}");
    }
    drop(sessions);

    // A minute of nothing writes nothing; a shorter one shows it too.
    let version = async || pools.pools.get("finder").await.unwrap().metadata.resource_version;
    let before = version().await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(version().await, before);

    // A pod that goes fails no call.
    let of_a = ListParams::default().labels("app.kubernetes.io/instance=find-a");
    let pod = pools.pods.list(&of_a).await.unwrap().items[0].metadata.name.clone().unwrap();
    pools.pods.delete(&pod, &DeleteParams::default()).await.unwrap();
    let asked = std::time::Instant::now();
    while asked.elapsed() < Duration::from_secs(8) {
        pools.crowd("finder_look", 4).await;
    }
    pools.members_become("finder", &[("find-a", true), ("find-b", true)]).await;

    // One joins, one leaves, the pool goes.
    pools.server("find-c", "search", &[], json!({})).await;
    pools.members_become("finder", &[("find-a", true), ("find-b", true), ("find-c", true)]).await;
    assert_eq!(pools.tools(), ["finder_look", "finder_only"]);
    pools.label("find-b", "none").await;
    pools.tools_become(&["findb_look", "findb_only", "finder_look"]).await;
    pools.members_become("finder", &[("find-a", true), ("find-c", true)]).await;
    pools.registered("find-b", "True Registered").await;
    pools.pools.delete("finder", &DeleteParams::default()).await.unwrap();
    pools.tools_become(&["finda_look", "findb_look", "findb_only", "findc_look"]).await;
    pools.registered("find-a", "True Registered").await;
    let events = kubectl::run(&[
        "-n",
        namespace,
        "get",
        "events",
        "--field-selector",
        "involvedObject.kind=MCPPool",
        "-o",
        "jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}",
    ]);
    assert!(events.contains("MembersChanged: find-c joined."), "{events}");
    assert!(events.contains("MembersChanged: find-b left."), "{events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_pool_has_a_contested_member_and_then_the_next() {
    let scratch = solo("pool-contest");
    let pools = Pools::start(scratch.name()).await;
    pools.pool("older", "both").await;
    // Ages are told in seconds.
    let created =
        async |name: &str| pools.pools.get(name).await.unwrap().metadata.creation_timestamp.unwrap();
    let older = created("older").await;
    until("a second has passed", SOON, || async {
        let probe = MCPPool::new(
            "another",
            serde_json::from_value(json!({ "selector": { "matchLabels": { "pool": "both" } } })).unwrap(),
        );
        pools.pools.create(&PostParams::default(), &probe).await.unwrap();
        if created("another").await > older {
            return Some(());
        }
        pools.pools.delete("another", &DeleteParams::default()).await.unwrap();
        None
    })
    .await;
    pools.server("find-a", "both", &[], json!({})).await;
    pools.members_become("older", &[("find-a", true)]).await;
    pools.tools_become(&["older_look"]).await;
    let second = pools.pools.get("another").await.unwrap().status.unwrap();
    let said = &second.conditions.iter().find(|one| one.type_ == "Available").unwrap().message;
    assert!(second.members.is_empty() && said.contains("belongs to an older MCPPool"), "{said}");
    pools.pools.delete("older", &DeleteParams::default()).await.unwrap();
    pools.members_become("another", &[("find-a", true)]).await;
    pools.tools_become(&["another_look"]).await;

    // A pool of a server's name waits until it is free.
    pools.pool("find-a", "nobody").await;
    until("its name is taken", SOON, || async {
        let conditions = pools.pools.get("find-a").await.ok()?.status?.conditions;
        let accepted = conditions.iter().find(|one| one.type_ == "Accepted")?;
        (accepted.status == "False" && accepted.message.contains("is older")).then_some(())
    })
    .await;
    assert_eq!(pools.tools(), ["another_look"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_wakes_the_first_member_when_all_sleep() {
    let scratch = solo("pool-sleep");
    let pools = Pools::start(scratch.name()).await;
    let sleepy = json!({ "scaleToZero": { "idleAfter": "10s", "wakeTimeout": "60s" } });
    pools.server("find-a", "search", &["only"], sleepy.clone()).await;
    pools.server("find-b", "search", &[], sleepy).await;
    pools.pool("finder", "search").await;
    pools.members_become("finder", &[("find-a", true), ("find-b", true)]).await;
    // One that sleeps before its tools were ever listed is not woken for them.
    pools.tools_become(&["finder_look", "finder_only"]).await;
    until("both sleep", STARTED, || async {
        let asleep = pools.replicas("find-a").await? == 0 && pools.replicas("find-b").await? == 0;
        (asleep && pools.pods.list(&ListParams::default()).await.ok()?.items.is_empty()).then_some(())
    })
    .await;
    assert_eq!(pools.tools(), ["finder_look", "finder_only"], "they stay listed");
    pools.members_become("finder", &[("find-a", true), ("find-b", true)]).await;
    // The other one is looked at while the calls wait, and stays asleep.
    let (answers, ()) = join(pools.crowd("finder_look", 3), pools.touch("find-b", 5)).await;
    assert_eq!(answers, BTreeSet::from(["find-a look".to_owned()]));
    assert_eq!(pools.replicas("find-b").await, Some(0), "one is enough");
    until("it sleeps again", STARTED, || async { (pools.replicas("find-a").await? == 0).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_works() {
    let scratch = solo("pool-example");
    let pools = Pools::start(scratch.name()).await;
    let example = include_str!("../../examples/pools/clocks.yaml");
    let image = "docker.io/pilothouse-test/python:1\n  imagePullPolicy: IfNotPresent";
    kubectl::apply_in(scratch.name(), &example.replace("registry.example.com/mcp-server-time:1", image));
    pools.members_become("clock", &[("clock-blue", true), ("clock-green", true)]).await;
    pools.tools_become(&["clock_convert_time", "clock_get_current_time"]).await;
}
