//! stdio servers in pods: our program as pid 1 in images that have glibc, musl, or nothing but busybox.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use kube::api::{DeleteParams, PostParams};
use pilothouse::api::MCPServer;
use serde_json::{Value, json};

use crate::support::{
    kubectl,
    own_operator::solo,
    wait::until,
    whole::{STARTED, Whole},
};

/// A stdio MCP server for a shell, with the tool `where`.
const SCRIPT: &str = r#"
echo 'where: a word for the log' >&2
while IFS= read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"where","version":"1"}}}\n' "$id" ;;
    *'"method":"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"where","inputSchema":{"type":"object"}}]}}\n' "$id" ;;
    *'"method":"tools/call"'*)
      root='root read-only'; (: >/written) 2>/dev/null && root='root written'
      printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s uid %s, %s"}]}}\n' "$id" "$(hostname)" "$(id -u)" "$root" ;;
    *'"id":'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}\n' "$id" ;;
  esac
done
"#;

/// Who serves in a pod, whom an orphan goes to, and whether anybody stays as a zombie.
const LOOK: &str = r#"
cat /proc/1/cmdline | tr '\0' ' '; echo
grep -E '^(Uid|CapEff|NoNewPrivs):' /proc/1/status
(sh -c 'sleep 0.1 & exec true')
sleep 1
for stat in /proc/[0-9]*/stat; do
  read -r text <$stat || continue
  case ${text##*\)} in ' Z'*) echo "zombie $text" ;; esac
done
"#;

fn spec(image: &str, command: &[&str]) -> Value {
    json!({
        "image": format!("docker.io/pilothouse-test/{image}:1"), "imagePullPolicy": "IfNotPresent",
        "transport": "stdio", "command": command,
    })
}

async fn create(whole: &Whole, name: &str, spec: Value) {
    let server = MCPServer::new(name, serde_json::from_value(spec).expect("the spec parses"));
    whole.servers.create(&PostParams::default(), &server).await.expect("the MCPServer is accepted");
}

fn pods(namespace: &str, name: &str, path: &str) -> String {
    let label = format!("app.kubernetes.io/instance={name}");
    kubectl::run(&["-n", namespace, "get", "pods", "-l", &label, "-o", &format!("jsonpath={path}")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_pid_1_in_every_kind_of_image_without_rights_and_keeps_the_log() {
    let scratch = solo("bridge");
    let namespace = scratch.name();
    let whole = Whole::start(namespace).await;
    create(&whole, "glibc", spec("python", &["sh", "-c", SCRIPT])).await;
    create(&whole, "musl", spec("musl", &["server"])).await;
    create(&whole, "bare", spec("busybox", &["sh", "-c", SCRIPT])).await;
    for name in ["glibc", "musl", "bare"] {
        let tool = format!("{name}_where");
        whole.is_listed(&tool).await;
        let said = whole.call(&tool).await;
        assert!(said.ends_with("uid 65532, root read-only"), "{name}: {said}");
        let pod = pods(namespace, name, "{.items[0].metadata.name}");
        let look = kubectl::run(&["-n", namespace, "exec", &pod, "-c", "server", "--", "sh", "-c", LOOK]);
        assert!(look.starts_with("/bridge-bin/pilothouse bridge --listen 0.0.0.0:8080 --"), "{name}: {look}");
        for line in ["Uid:\t65532\t", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
            assert!(look.contains(line), "{name}: {look}");
        }
        assert!(!look.contains("zombie"), "{name}: {look}");
        let log = kubectl::run(&["-n", namespace, "logs", &pod, "-c", "server"]);
        assert!(log.contains("where: a word for the log"), "{name}: {log}");
    }
    // It ends when it is told to, long before it would be killed.
    let begun = std::time::Instant::now();
    kubectl::run(&["-n", namespace, "delete", "pod", "-l", "app.kubernetes.io/instance=bare"]);
    assert!(begun.elapsed() < Duration::from_secs(25), "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_not_in_the_image_is_named() {
    let scratch = solo("bridge-none");
    let namespace = scratch.name();
    let whole = Whole::start(namespace).await;
    whole.create(spec("busybox", &["no-such-server"])).await;
    let path = "{.items[*].status.containerStatuses[*].lastState.terminated.exitCode}";
    until("it has ended with 127", STARTED, || async {
        pods(namespace, "demo", path).contains("127").then_some(())
    })
    .await;
    let said = whole.condition_becomes("Available", "does not exist in this image", STARTED).await;
    assert!(said.contains("no-such-server"), "{said}");
}

/// The Deployment's generation, its pod template, and the uids of its pods.
fn rolled_out(namespace: &str) -> [String; 3] {
    let deployment = |path: &str| {
        kubectl::run(&["-n", namespace, "get", "deployment", "demo", "-o", &format!("jsonpath={path}")])
    };
    let uids = pods(namespace, "demo", "{.items[*].metadata.uid}");
    [deployment("{.metadata.generation}"), deployment("{.spec.template}"), uids]
}

/// The image that brings the bridge into its pods.
fn bridge_image(namespace: &str) -> String {
    pods(namespace, "demo", "{.items[*].spec.initContainers[?(@.name=='bridge')].image}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_pilothouse_alone_rolls_none_of_its_pods_and_the_next_change_brings_its_bridge() {
    let scratch = solo("bridge-new");
    let namespace = scratch.name();
    let whole = Whole::start(namespace).await;
    whole.create(spec("busybox", &["sh", "-c", SCRIPT])).await;
    whole.is_listed("demo_where").await;
    whole.condition_becomes("Available", "True", STARTED).await;
    let before = rolled_out(namespace);
    let old = bridge_image(namespace);
    drop(whole);

    // The same image by another name, as a new version has it.
    let new = old.strip_prefix("docker.io/").expect("a full name").to_owned();
    let whole = Whole::start_so(namespace, |settings| settings.own_image = Some(new.clone())).await;
    whole.is_listed("demo_where").await;
    // It looks at the server, and carries out what does not concern the pods.
    whole.change(json!({ "networkPolicy": { "enabled": false } })).await;
    until("the new operator acts", STARTED, || async {
        let policies = kubectl::run(&["-n", namespace, "get", "networkpolicies", "-o", "name"]);
        policies.trim().is_empty().then_some(())
    })
    .await;
    until("the new operator has reported", STARTED, || async {
        let server = whole.servers.get("demo").await.ok()?;
        let observed = server.status?.observed_generation;
        (observed == server.metadata.generation).then_some(())
    })
    .await;
    assert_eq!(rolled_out(namespace), before);

    whole.change(json!({ "env": [{ "name": "COLOUR", "value": "red" }] })).await;
    until("its pods are new, with the bridge of the new version", STARTED, || async {
        (bridge_image(namespace) == new).then_some(())
    })
    .await;
    whole.condition_becomes("Available", "True", STARTED).await;
    let [_, template, uids] = rolled_out(namespace);
    assert!(template.contains(&format!(r#""image":"{new}""#)) && !before[2].contains(&uids), "{template}");
    until("the new pod answers", STARTED, || async {
        whole.call("demo_where").await.ends_with("root read-only").then_some(())
    })
    .await;
}

/// Whichever pod is asked, and while one of them is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pods_of_a_stateless_server_answer_as_one() {
    let scratch = solo("bridge-two");
    let namespace = scratch.name();
    let whole = Whole::start(namespace).await;
    let mut two = spec("busybox", &["sh", "-c", SCRIPT]);
    two["replicas"] = json!(2);
    two["gateway"] = json!({ "stateless": true });
    whole.create(two).await;
    whole.is_listed("demo_where").await;
    let both = || async {
        let said = join_all((0..8).map(|_| whole.call("demo_where"))).await;
        // One that was under way to a pod that goes may have failed.
        let said = said.iter().filter(|said| said.ends_with("root read-only"));
        let hosts: BTreeSet<String> =
            said.filter_map(|said| Some(said.split_once(' ')?.0.to_owned())).collect();
        (hosts.len() == 2).then_some(hosts)
    };
    let hosts = until("both are asked", STARTED, both).await;
    // In each pod: the bridge twice, the server, and nothing else however many ask.
    let count = "ls -d /proc/[0-9]* | wc -l";
    for host in &hosts {
        let seen = kubectl::run(&["-n", namespace, "exec", host, "-c", "server", "--", "sh", "-c", count]);
        // The shell, `ls` and `wc` count themselves.
        let seen: usize = seen.trim().parse().expect("a number");
        assert!(seen <= 6, "{seen} processes in {host}");
    }
    let gone = hosts.first().expect("a pod");
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(whole.client.clone(), namespace);
    pods.delete(gone, &DeleteParams::default()).await.expect("a pod is deleted");
    until("another pod is asked in its place", STARTED, || async {
        let said = whole.call("demo_where").await;
        let host = said.split_once(" uid ")?.0.to_owned();
        let now = both().await;
        (host != *gone && now.is_some_and(|now| !now.contains(gone))).then_some(())
    })
    .await;
}
