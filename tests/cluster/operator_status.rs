//! What a status says of pods that really fail, that it is told once, and that kubectl can wait for it and scale.

use std::time::Duration;

use k8s_openapi::{api::events::v1::Event, jiff::Timestamp};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use pilothouse::api::{MCPServer, mcp_server::Phase};
use serde_json::{Value, json};

use crate::support::{
    kubectl,
    own_operator::{OwnOperator, solo},
    replica::Replica,
    wait::until,
};

const SOON: Duration = Duration::from_secs(60);
const BUSYBOX: &str = "docker.io/pilothouse-test/busybox:1";

fn servers(client: &Client, namespace: &str) -> Api<MCPServer> {
    Api::namespaced(client.clone(), namespace)
}

async fn create(servers: &Api<MCPServer>, name: &str, spec: Value) {
    let server = MCPServer::new(name, serde_json::from_value(spec).expect("the spec parses"));
    servers.create(&PostParams::default(), &server).await.expect("the MCPServer is accepted");
}

/// A server that runs this in a shell.
fn shell(script: &str) -> Value {
    json!({"image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]})
}

/// Waits until the condition Available has this reason; answers `status reason: message` and the phase.
async fn available(servers: &Api<MCPServer>, name: &str, reason: &str) -> (String, Option<Phase>) {
    until(&format!("{name}: {reason}"), SOON, || async {
        let status = servers.get(name).await.ok()?.status?;
        let condition = status.conditions.iter().find(|condition| condition.type_ == "Available")?;
        (condition.reason == reason).then(|| {
            let said = format!("{} {}: {}", condition.status, condition.reason, condition.message);
            (said, status.phase)
        })
    })
    .await
}

/// Ours about that server, as `type reason note` with their count.
async fn events(client: &Client, namespace: &str, name: &str) -> Vec<(String, i32)> {
    let events = Api::<Event>::namespaced(client.clone(), namespace);
    let events = events.list(&ListParams::default()).await.expect("events can be listed").items;
    let ours = events.iter().filter(|event| {
        event.reporting_controller.as_deref() == Some("pilothouse")
            && event.regarding.as_ref().is_some_and(|about| about.name.as_deref() == Some(name))
    });
    let words = |event: &Event| {
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        let said = format!("{} {} {}", word(&event.type_), word(&event.reason), word(&event.note));
        (said, event.series.as_ref().map_or(1, |series| series.count))
    };
    ours.map(words).collect()
}

#[tokio::test]
async fn pods_that_fail_are_told_with_which_and_why() {
    let scratch = solo("status");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let servers = servers(&operator.client, scratch.name());
    create(&servers, "pull", json!({"image": "registry.invalid/demo:1", "imagePullPolicy": "Never"})).await;
    let script = "echo starting; echo \"$(date) FATAL: DB_URL is not set, token=hunter2secret\"; exit 3";
    create(&servers, "crash", shell(script)).await;
    create(&servers, "nowhere", json!({"image": "registry.invalid/demo:1"})).await;
    let mut large = shell("sleep 600");
    large["resources"] = json!({"requests": {"cpu": "500"}});
    create(&servers, "large", large).await;
    create(&servers, "silent", shell("sleep 600")).await;

    let (pull, phase) = available(&servers, "pull", "ImagePullFailed").await;
    assert!(pull.starts_with("False") && pull.contains("registry.invalid/demo:1"), "{pull}");
    assert!(pull.contains("pod pull-"), "it says which: {pull}");
    assert!(pull.contains("it is not on the node, and spec.imagePullPolicy"), "and why: {pull}");
    assert_eq!(phase, Some(Phase::Failed));

    let (nowhere, _) = available(&servers, "nowhere", "ImagePullFailed").await;
    assert!(nowhere.contains("does not reach its registry"), "{nowhere}");

    let crash = until("the crash has last words", SOON, || async {
        let (said, _) = available(&servers, "crash", "ContainerExits").await;
        said.contains("last words").then_some(said)
    })
    .await;
    assert!(crash.contains("exit code 3") && crash.contains("FATAL: DB_URL is not set"), "{crash}");
    assert!(!crash.contains("hunter2secret"), "no secret leaves with them: {crash}");

    let (large, phase) = available(&servers, "large", "Unschedulable").await;
    assert!(large.contains("Insufficient cpu") && phase == Some(Phase::Deploying), "{phase:?} {large}");

    let (silent, phase) = available(&servers, "silent", "ProbeFails").await;
    assert!(silent.contains("its startup probe fails") && silent.contains("refused"), "{silent}");
    assert_eq!(phase, Some(Phase::Deploying), "it may only be slow");
    operator.stop().await;
}

#[tokio::test]
async fn a_quota_is_told() {
    let scratch = solo("quota");
    kubectl::run(&["-n", scratch.name(), "create", "quota", "no-pods", "--hard=pods=0"]);
    until("the quota counts", SOON, || async {
        let said =
            kubectl::run(&["-n", scratch.name(), "get", "quota", "no-pods", "-o", "jsonpath={.status.hard}"]);
        (!said.is_empty()).then_some(())
    })
    .await;
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let servers = servers(&operator.client, scratch.name());
    create(&servers, "demo", shell("sleep 600")).await;
    let (said, phase) = available(&servers, "demo", "QuotaExceeded").await;
    assert!(said.contains("exceeded quota: no-pods"), "{said}");
    assert_eq!(phase, Some(Phase::Failed));
    operator.stop().await;
}

#[tokio::test]
async fn a_probe_that_begins_to_fail_is_told() {
    let scratch = solo("probe");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let servers = servers(&operator.client, scratch.name());
    create(&servers, "demo", shell("timeout 8 httpd -f -p 8080; sleep 600")).await;
    available(&servers, "demo", "PodsReady").await;
    let (said, phase) = available(&servers, "demo", "ProbeFails").await;
    assert!(said.contains("its readiness probe fails") && said.contains("refused"), "{said}");
    assert_eq!(phase, Some(Phase::Degraded), "it runs and does not answer");
    operator.stop().await;
}

// kubectl blocks its thread while it waits, and the operator needs one.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_waits_and_scales() {
    let scratch = solo("kubectl");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let servers = servers(&operator.client, scratch.name());
    create(&servers, "demo", shell("httpd -f -p 8080")).await;
    let in_namespace = |words: &[&str]| {
        let mut arguments = vec!["-n", scratch.name()];
        arguments.extend(words);
        kubectl::run(&arguments)
    };
    in_namespace(&["wait", "--for=condition=Available", "phs/demo", "--timeout=60s"]);
    in_namespace(&["scale", "phs/demo", "--replicas=2"]);
    until("two pods are ready", SOON, || async {
        let status = servers.get("demo").await.ok()?.status?;
        (status.ready_replicas == 2 && status.replicas == 2).then_some(())
    })
    .await;
    let server = servers.get("demo").await.expect("it is there");
    let status = server.status.clone().expect("a status");
    assert_eq!(status.observed_generation, server.metadata.generation);
    let selector = status.selector.expect("a selector for kubectl scale and autoscalers");
    let pods = in_namespace(&["get", "pods", "-l", &selector, "-o", "name"]);
    assert_eq!(pods.lines().count(), 2, "{pods}");
    let times = |server: &MCPServer| -> Vec<String> {
        let conditions = server.status.iter().flat_map(|status| &status.conditions);
        conditions.map(|c| format!("{} {}", c.type_, c.last_transition_time.0)).collect()
    };
    in_namespace(&["label", "phs/demo", "team=a"]);
    in_namespace(&["scale", "phs/demo", "--replicas=1"]);
    until("one pod is left", SOON, || async {
        let status = servers.get("demo").await.ok()?.status?;
        (status.replicas == 1).then_some(())
    })
    .await;
    let later = servers.get("demo").await.expect("it is there");
    assert_eq!(times(&server), times(&later), "Available held all the time");
    let told = events(&operator.client, scratch.name(), "demo").await;
    for part in
        ["Normal Created ", "Normal Scaled Deployment scaled to 2.", "Normal Scaled Deployment scaled to 1."]
    {
        assert!(told.iter().any(|(said, _)| said.starts_with(part)), "{part} is missing: {told:?}");
    }
    operator.stop().await;
}

#[tokio::test]
async fn trouble_is_told_as_one_event() {
    let scratch = solo("events");
    let operator = OwnOperator::start(scratch.name(), "test").await;
    let servers = servers(&operator.client, scratch.name());
    create(&servers, "demo", json!({"image": "registry.invalid/demo:1", "imagePullPolicy": "Never"})).await;
    available(&servers, "demo", "ImagePullFailed").await;
    let told = until("the event", SOON, || async {
        let told = events(&operator.client, scratch.name(), "demo").await;
        told.iter().any(|(said, _)| said.starts_with("Warning ImagePullFailed")).then_some(told)
    })
    .await;
    // The kubelet tries again meanwhile.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(events(&operator.client, scratch.name(), "demo").await, told);
    operator.stop().await;
}

#[tokio::test]
async fn a_minute_of_nothing_writes_nothing() {
    let scratch = solo("steady");
    let replica = Replica::start(scratch.name(), "steady-replica", 10);
    let client = crate::support::client::admin().await;
    let servers = servers(&client, scratch.name());
    for number in 0..5 {
        create(&servers, &format!("stopped-{number}"), json!({"image": BUSYBOX, "replicas": 0})).await;
    }
    create(&servers, "runs", shell("httpd -f -p 8080")).await;
    create(&servers, "pull", json!({"image": "registry.invalid/demo:1", "imagePullPolicy": "Never"})).await;
    create(&servers, "crash", shell("echo \"$(date) no license\"; exit 1")).await;
    available(&servers, "runs", "PodsReady").await;
    available(&servers, "pull", "ImagePullFailed").await;
    until("the crash is known", SOON, || async {
        let (said, _) = available(&servers, "crash", "ContainerExits").await;
        said.contains("no license").then_some(())
    })
    .await;
    // The last handshakes end; then nothing changes any more.
    let settled = || async {
        let before = Timestamp::now().to_string();
        tokio::time::sleep(Duration::from_secs(10)).await;
        replica.writes_since(&before).unwrap_or_default().is_empty().then_some(())
    };
    until("ten seconds without a write", Duration::from_secs(90), settled).await;
    let since = Timestamp::now().to_string();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let Some(writes) = replica.writes_since(&since) else { return };
    assert!(writes.is_empty(), "{writes:?}\n{}", replica.said());
    let all = replica.writes_since("").unwrap_or_default();
    assert!(all.len() >= 8, "the record tells what it wrote before: {all:?}");
}
