//! How many connections the API server sees: calls of all callers on one, what lasts on another.
#![allow(clippy::expect_used)]

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    time::{Duration, Instant},
};

use futures::{StreamExt, future::try_join_all};
use kube::{Client, Config, config::KubeConfigOptions};
use pilothouse::{
    answer::{Budget, Sealer},
    caller::{Caller, Proof},
    cluster::{Change, ConnectOptions, Contexts, ListRequest, Reader, Resource, connect},
    tools::{Parts, Toolbox, standard},
};
use serde_json::{Value, json, value::to_raw_value};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::{client, kubectl, namespace::Scratch, relay::Relay};

const CALLERS: usize = 40;
const SOON: Duration = Duration::from_secs(20);

/// A reader of the tests' cluster through a relay that counts connections.
async fn counted() -> (TempDir, Relay, Reader) {
    client::admin().await;
    let config = kubectl::run(&["config", "view", "--raw", "--flatten", "--minify", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    let cluster = &mut config["clusters"][0]["cluster"];
    let server = url::Url::parse(cluster["server"].as_str().expect("an address")).expect("a URL");
    let host = server.host_str().expect("a host").to_owned();
    let port = server.port_or_known_default().expect("a port");
    let address: SocketAddr =
        (host.as_str(), port).to_socket_addrs().expect("a known host").next().expect("an address");
    let relay = Relay::to(address).await;
    cluster["server"] = json!(format!("https://{}", relay.address));
    // The certificate is still the server's.
    cluster["tls-server-name"] = json!(host);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    std::fs::write(&path, config.to_string()).expect("the kubeconfig is written");
    let options = ConnectOptions { kubeconfig: Some(path), context: None };
    let reader = connect(&options).await.expect("a kubeconfig").reader;
    (folder, relay, reader)
}

fn caller(number: usize) -> Caller {
    let user = format!("ann-{number}");
    Caller { user, groups: Vec::new(), extra: BTreeMap::new(), proof: Proof::Oidc }
}

fn config_maps() -> Resource {
    Resource {
        version: "v1".into(),
        kind: "ConfigMap".into(),
        plural: "configmaps".into(),
        namespaced: true,
        ..Resource::default()
    }
}

#[tokio::test]
async fn callers_and_their_watches_share_two_connections_to_the_api_server() {
    let (_folder, relay, reader) = counted().await;
    let space = Scratch::new("connections");
    kubectl::run(&["create", "configmap", "settings", "-n", space.name()]);
    let readers: Vec<Reader> =
        (0..CALLERS).map(|at| reader.for_caller(&caller(at)).expect("can be impersonated")).collect();
    // All come before there is a connection.
    let asked = readers.iter().map(|reader| reader.rights(space.name(), Duration::ZERO));
    for rights in try_join_all(asked).await.expect("answers") {
        assert!(!rights.rights.allow("get", "", "configmaps", None), "a stranger has no rights");
    }
    assert_eq!(relay.accepted(), 1);

    let kind = config_maps();
    let watches = (0..CALLERS).map(|_| reader.watch(&kind, Some(space.name()), "settings"));
    let mut watches = try_join_all(watches).await.expect("watches");
    kubectl::run(&["label", "configmap", "settings", "-n", space.name(), "seen=yes"]);
    for watch in &mut watches {
        let seen = async {
            while let Some(change) = watch.next().await {
                if let Change::Now(object) = change.expect("a watch goes on")
                    && object.get().contains("\"seen\":\"yes\"")
                {
                    return;
                }
            }
            panic!("the watch ended before the change");
        };
        timeout(SOON, seen).await.expect("each watch tells of the change");
    }
    try_join_all(readers.iter().map(Reader::version)).await.expect("answers");
    assert_eq!(relay.accepted(), 2, "one for calls, one for the {CALLERS} watches that are all open");
}

fn tools(reader: &Reader) -> Toolbox {
    let sealer = Sealer::random().expect("random bytes");
    standard(Parts {
        contexts: Contexts::one(reader.clone()),
        fleet: None,
        changes: None,
        leader: None,
        metrics: None,
        budget: Budget::DEFAULT,
        sealer,
    })
}

async fn median(times: usize, mut ask: impl AsyncFnMut()) -> Duration {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        ask().await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took[times / 2]
}

/// Prints the medians with kube's own HTTP/1.1 client and with ours; asserts nothing of them, a shared machine is no
/// measure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn how_long_reads_take_with_and_without_http_2() {
    client::admin().await;
    let space = Scratch::new("reads");
    let manifests: String = (0..500)
        .map(|at| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: map-{at:03}, namespace: {} }}\ndata: {{ text: {} }}\n", space.name(), "x".repeat(500)))
        .collect();
    kubectl::apply(&manifests);
    let config = Config::from_kubeconfig(&KubeConfigOptions::default()).await.expect("a kubeconfig");
    let own = async || Reader::new(Client::try_from(config.clone()).expect("a client"), "kube");
    let ours = async || connect(&ConnectOptions::default()).await.expect("a kubeconfig").reader;
    let one = json!({ "kind": "configmaps", "namespace": space.name(), "name": "map-250" });
    let all = json!({ "kind": "configmaps", "namespace": space.name() });
    let (kind, request) =
        (config_maps(), ListRequest { namespace: Some(space.name().to_owned()), ..ListRequest::default() });
    for round in 0..6 {
        let is_ours = round % 2 == 1;
        let fresh = async || if is_ours { ours().await } else { own().await };
        let reader = fresh().await;
        let tools = tools(&reader);
        let call = async |tool: &str, arguments: &Value| {
            let arguments = to_raw_value(arguments).expect("JSON");
            let answer = tools.get(tool).expect("a tool").call(&Caller::process(), Some(&arguments)).await;
            assert!(!answer.is_error, "{}", answer.text);
        };
        let get = async || drop(reader.get(&kind, Some(space.name()), "map-250").await.expect("one"));
        let gets = async |reader: &Reader| {
            let gets = (0..20).map(|_| reader.get(&kind, Some(space.name()), "map-250"));
            try_join_all(gets).await.expect("all");
        };
        let list = async || drop(reader.list(&kind, &request, |_| ()).await.expect("a list"));
        get().await;
        println!(
            "{}: get {:?}, list of 500 {:?}, 20 gets at once {:?}, the same with nothing connected {:?}; tools: get_resource {:?}, list_resources {:?}",
            if is_ours { "ours, HTTP/2  " } else { "kube, HTTP/1.1" },
            median(300, get).await,
            median(40, list).await,
            median(40, async || gets(&reader).await).await,
            median(10, async || gets(&fresh().await).await).await,
            median(60, async || call("get_resource", &one).await).await,
            median(20, async || call("list_resources", &all).await).await,
        );
    }
}
