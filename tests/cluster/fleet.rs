//! The cluster as a source of downstreams, seen from a laptop: watches, port-forwards, and an API server that is
//! away for a while.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use kube::{Client, Config};
use pilothouse::{
    fleet::{
        Known, Roster, ServerName,
        cluster::{Cluster, Reach},
    },
    gateway::{Endpoint, Gateway, Target},
};
use tokio::{
    net::{TcpListener, TcpStream as AsyncStream},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{kubectl, namespace::Scratch};

const DEADLINE: Duration = Duration::from_secs(90);

fn crd() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/mcpservers.pilothouse.dev.yaml");
        kubectl::run(&["apply", "--server-side", "--force-conflicts", "-f", file.to_str().unwrap()]);
        kubectl::run(&[
            "wait",
            "--for=condition=Established",
            "crd/mcpservers.pilothouse.dev",
            "--timeout=60s",
        ]);
    });
}

/// What `kubectl` would use.
async fn config() -> Config {
    // Another test of this process may have done it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Config::infer().await.unwrap()
}

/// The roster of one namespace, until it is dropped.
struct Watched {
    known: watch::Receiver<BTreeMap<ServerName, Known>>,
    _stop: DropGuard,
}

impl Watched {
    fn start(config: Config, namespace: &str) -> Self {
        let roster = Roster::new(Arc::new(Gateway::new(Vec::new())));
        let known = roster.known();
        let client = Client::try_from(config).unwrap();
        let stop = CancellationToken::new();
        let source = Cluster::new(client, vec![namespace.to_owned()], Reach::PortForward, roster);
        tokio::spawn(source.run(stop.clone()));
        Self { known, _stop: stop.drop_guard() }
    }

    async fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&BTreeMap<ServerName, Known>) -> bool,
    ) -> BTreeMap<ServerName, Known> {
        let until = Instant::now() + DEADLINE;
        loop {
            let known = self.known.borrow_and_update().clone();
            if holds(&known) {
                return known;
            }
            let changed = tokio::time::timeout_at(until.into(), self.known.changed()).await;
            assert!(changed.is_ok(), "waited in vain until {what}, declared is {known:#?}");
        }
    }
}

/// The endpoints of the only server.
fn endpoints(known: &BTreeMap<ServerName, Known>) -> Vec<Endpoint> {
    let declared = known.values().next().map(|known| &known.declared);
    match declared {
        Some(Ok(downstream)) => match &downstream.target {
            Target::Endpoints { endpoints, .. } => endpoints.clone(),
            other => panic!("{other:?}"),
        },
        _ => Vec::new(),
    }
}

/// An MCPServer, and in place of what the operator makes of it a Service with a pod that answers HTTP.
fn web(namespace: &str) -> String {
    format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: web, namespace: {namespace}}}\n\
         spec: {{image: 'docker.io/pilothouse-test/busybox:1', replicas: 0}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: {namespace}\n  \
         labels: {{app.kubernetes.io/managed-by: pilothouse}}\n\
         spec: {{selector: {{app: web}}, ports: [{{name: mcp, port: 8080}}]}}\n---\n{}",
        pod(namespace, "one")
    )
}

fn pod(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{app: web}}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: web\n    \
         image: docker.io/pilothouse-test/busybox:1\n    imagePullPolicy: IfNotPresent\n    \
         command: [sh, -c, 'mkdir /tmp/w && hostname > /tmp/w/name && exec httpd -f -p 8080 -h /tmp/w']\n    \
         readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}\n"
    )
}

fn get_name(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(b"GET /name HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_reached_from_a_laptop_while_they_come_and_go() {
    crd();
    let scratch = Scratch::new("fleet-forward");
    let namespace = scratch.name();
    let mut watched = Watched::start(config().await, namespace);
    kubectl::apply(&web(namespace));
    let known = watched.until("one pod is ready", |known| endpoints(known).len() == 1).await;
    let [one] = &endpoints(&known)[..] else { panic!() };
    assert_eq!(one.id, "one");
    assert!(one.address.ip().is_loopback(), "{one:?}");
    // More at once than one forward carries at a time: the others wait their turn.
    let gets: Vec<_> =
        (0..40).map(|_| one.address).map(|at| tokio::task::spawn_blocking(move || get_name(at))).collect();
    for get in gets {
        let answer = get.await.unwrap().unwrap();
        assert!(answer.ends_with("one\n"), "{answer}");
    }

    kubectl::apply(&pod(namespace, "two"));
    let known = watched.until("two pods are ready", |known| endpoints(known).len() == 2).await;
    assert_eq!(endpoints(&known)[0], *one, "the first is where it was");
    let two = endpoints(&known)[1].clone();
    assert!(get_name(two.address).unwrap().ends_with("two\n"));

    kubectl::run(&["-n", namespace, "delete", "pod", "one", "--wait=false"]);
    watched.until("the first pod is gone", |known| endpoints(known) == [two.clone()]).await;
    let refused = Instant::now() + DEADLINE;
    while TcpStream::connect(one.address).is_ok() {
        assert!(Instant::now() < refused, "its listener is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    kubectl::run(&["-n", namespace, "delete", "mcpserver", "web", "--wait=false"]);
    watched.until("the server is gone", BTreeMap::is_empty).await;
}

/// Passes connections on to the API server, until it is cut.
struct Road {
    to: SocketAddr,
    at: SocketAddr,
    open: Option<DropGuard>,
}

impl Road {
    async fn open(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut road = Self { to, at: listener.local_addr().unwrap(), open: None };
        road.serve(listener);
        road
    }

    fn serve(&mut self, listener: TcpListener) {
        let stop = CancellationToken::new();
        self.open = Some(stop.clone().drop_guard());
        let to = self.to;
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                    let mut far = AsyncStream::connect(to).await.unwrap();
                    // Either side may leave at any time.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }));
            }
        }));
    }

    fn cut(&mut self) {
        self.open = None;
    }

    async fn mend(&mut self) {
        let until = Instant::now() + DEADLINE;
        let listener = loop {
            match TcpListener::bind(self.at).await {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        self.serve(listener);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_was_away_is_watched_again() {
    crd();
    let scratch = Scratch::new("fleet-outage");
    let namespace = scratch.name();
    let mut config = config().await;
    let host = config.cluster_url.host().unwrap().to_owned();
    let to = (host.as_str(), config.cluster_url.port_u16().unwrap_or(443));
    let to = tokio::net::lookup_host(to).await.unwrap().next().unwrap();
    let mut road = Road::open(to).await;
    config.tls_server_name.get_or_insert(host);
    config.cluster_url = format!("https://{}/", road.at).parse().unwrap();

    let manifest = |name: &str| {
        format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{remote: {{url: 'http://127.0.0.1:9/{name}'}}}}\n"
        )
    };
    let names =
        |known: &BTreeMap<ServerName, Known>| known.keys().map(|name| name.name.clone()).collect::<Vec<_>>();
    kubectl::apply(&[manifest("goes"), manifest("stays")].join("---\n"));
    let mut watched = Watched::start(config, namespace);
    watched.until("both are seen", |known| names(known) == ["goes", "stays"]).await;

    road.cut();
    kubectl::run(&["-n", namespace, "delete", "mcpserver", "goes", "--wait=false"]);
    kubectl::apply(&manifest("comes"));
    assert_eq!(names(&watched.known.borrow()), ["goes", "stays"]);
    road.mend().await;
    watched.until("what happened meanwhile is seen", |known| names(known) == ["comes", "stays"]).await;
}
