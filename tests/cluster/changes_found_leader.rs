//! A replica that follows finds the one that leads as an installed one does, by its Lease and the EndpointSlice of
//! `pilothouse-peers`, and a change that is asked for there is made once, by the leader.
//!
//! Both run in the test's process: whatever is no pod does not look for EndpointSlices by itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use pilothouse::{
    app::{App, Configuration, Running, Sources},
    caller::Caller,
    cluster::{ConnectOptions, connect},
    mcp,
    operator::{OperatorSettings, Peers},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    changes_git_server::GitServer,
    support::{
        client, kubectl,
        own_operator::{TIMING, solo},
        replica::holder,
        talk::Talk,
        wait::until,
    },
};

const SOON: std::time::Duration = std::time::Duration::from_secs(60);

fn deployment(namespace: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  replicas: 0   # not yet\n  \
         selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      \
         containers: [{{name: main, image: docker.io/pilothouse-test/busybox:1}}]\n"
    )
}

/// An address of this machine that an EndpointSlice may have: none of the loopback interface. Nothing is sent.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect("192.0.2.1:9").expect("a way out of this machine");
    socket.local_addr().expect("its address").ip()
}

/// A replica that believes to be this pod.
struct Pod {
    talk: Talk,
    running: Running,
    data: tempfile::TempDir,
    _health: DropGuard,
}

impl Pod {
    async fn start(namespace: &str, pod: &str, health: TcpListener, config: &Value) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut connection = connect(&ConnectOptions::default()).await.expect("KUBECONFIG names a cluster");
        namespace.clone_into(&mut connection.namespace);
        let data = tempfile::tempdir().expect("a folder");
        let path = data.path().join("config.yaml");
        std::fs::write(&path, config.to_string()).expect("the configuration is written");
        let port = health.local_addr().expect("its address").port();
        let settings = OperatorSettings {
            namespaces: vec![namespace.to_owned()],
            lease_timing: TIMING,
            peers: Peers::Found { own_pod: pod.to_owned(), port },
            ..OperatorSettings::new(format!("{pod}_1"), namespace)
        };
        let sources = Sources {
            cluster: Ok(connection),
            live: true,
            namespaces: vec![namespace.to_owned()],
            servers: None,
            operator: Some(settings),
            data: data.path().to_owned(),
            audit_to_stderr: false,
            cursor_key: Some([7; 32]),
        };
        let configuration = Configuration::read(Some(&path)).expect("the configuration");
        let app = App::assemble(sources, configuration).expect("an app");
        let (router, face, stop) = (app.health(), app.face(), CancellationToken::new());
        tokio::spawn(mcp::listener::serve(health, router, stop.clone()));
        let running = app.start();
        let talk = Talk::open(face, Caller::static_token()).await;
        Self { talk, running, data, _health: stop.drop_guard() }
    }
}

fn slice(namespace: &str, address: IpAddr, pod: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": "pilothouse-peers-1", "namespace": namespace,
            "labels": { "kubernetes.io/service-name": "pilothouse-peers" } },
        "endpoints": [{ "addresses": [address], "targetRef": { "kind": "Pod", "name": pod, "namespace": namespace } }],
        "ports": [{ "name": "health", "port": 8081 }],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_finds_the_leader_and_the_change_is_made_once() {
    let scratch = solo("found-leader");
    let namespace = scratch.name();
    let manifest = deployment(namespace);
    kubectl::apply(&manifest);
    let git = GitServer::start(&[("web.yaml", &manifest)]).await;
    let token = git.folder.path().join("token");
    std::fs::write(&token, &git.token).expect("the token is written");
    let config = json!({ "changes": { "repositories": [
        { "name": "deploy", "url": git.url(), "tokenFile": token, "namespace": namespace }] } });

    // All pods of an installation have their health at one port, each at its own address.
    let leaders = TcpListener::bind((own_address(), 0)).await.expect("a free port");
    let at = leaders.local_addr().expect("its address");
    let followers = SocketAddr::from((Ipv4Addr::LOCALHOST, at.port()));
    let followers = TcpListener::bind(followers).await.expect("the same port beside it");
    kubectl::apply(&slice(namespace, at.ip(), "one-0").to_string());
    let leader = Pod::start(namespace, "one-0", leaders, &config).await;
    let client = client::admin().await;
    until("the first leads", SOON, || async { (holder(&client, namespace).await == "one-0").then_some(()) })
        .await;
    let mut follower = Pod::start(namespace, "one-1", followers, &config).await;

    let arguments = json!({ "kind": "Deployment", "namespace": namespace, "name": "web", "replicas": 1,
        "reason": "It is needed now." });
    let call = json!({ "name": "propose_change", "arguments": arguments });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = follower.talk.ask("tools/call", call.clone()).await;
        let id = answer["result"]["structuredContent"]["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
        ids.push(id.to_owned());
    }
    assert_eq!(ids[0], ids[1]);
    let branches = git.branches();
    assert_eq!(branches, [format!("pilothouse/{}", ids[0])], "pushed once");
    let kept = kubectl::run(&["-n", namespace, "get", "phcr", "-o", "jsonpath={.items[*].metadata.name}"]);
    assert_eq!(kept, ids[0]);
    let pushed = |pod: &Pod| {
        let record = std::fs::read_to_string(pod.data.path().join("audit/audit.jsonl"));
        record.unwrap_or_default().matches("\"change/push\"").count()
    };
    assert_eq!((pushed(&leader), pushed(&follower)), (1, 0), "by the leader alone");
    follower.running.shutdown().await.expect("it ends");
    leader.running.shutdown().await.expect("it ends");
}
