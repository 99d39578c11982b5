//! A replica of pilothouse as a process of its own, reconciling one namespace. Its requests are told apart in the
//! API server's record by the user it acts as.

use std::{
    fs::{self, File},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pilothouse::operator::LEASE;
use serde_json::{Value, json};

use super::{
    audit_log, kubectl,
    relay::Relay,
    served::{request, request_as},
    served_at::served_at,
};

/// Killed when dropped.
pub(crate) struct Replica {
    child: Child,
    /// Also how the lease names it, and whom it acts as.
    pub(crate) name: String,
    folder: tempfile::TempDir,
}

/// What a replica has around it beside its namespace.
#[derive(Default)]
struct Surroundings {
    /// Where the API server is reached; otherwise where it is.
    through: Option<SocketAddr>,
    /// Where it serves its health; otherwise at a free port.
    health: Option<SocketAddr>,
    peers: Vec<SocketAddr>,
    /// What its configuration says besides.
    config: Value,
    /// What its callers, and the other replicas, know.
    token: Option<String>,
}

impl Replica {
    /// `name` must be this replica's alone in the whole run.
    pub(crate) fn start(namespace: &str, name: &str, lease_seconds: u8) -> Self {
        Self::spawn(namespace, name, lease_seconds, Surroundings::default())
    }

    /// Serves its health at that address, and knows those of the other replicas.
    pub(crate) fn start_beside(
        namespace: &str,
        name: &str,
        lease_seconds: u8,
        health: SocketAddr,
        peers: Vec<SocketAddr>,
    ) -> Self {
        let around = Surroundings { health: Some(health), peers, ..Surroundings::default() };
        Self::spawn(namespace, name, lease_seconds, around)
    }

    /// As [`Self::start_beside`], with a further configuration, and for callers with this token.
    pub(crate) fn start_with(
        namespace: &str,
        name: &str,
        (health, peers): (SocketAddr, Vec<SocketAddr>),
        config: Value,
        token: &str,
    ) -> Self {
        let token = Some(token.to_owned());
        let around = Surroundings { health: Some(health), peers, config, token, through: None };
        Self::spawn(namespace, name, 10, around)
    }

    /// Reaches the API server at this address of the loopback interface.
    pub(crate) fn start_through(relay: &Relay, namespace: &str, name: &str, lease_seconds: u8) -> Self {
        let around = Surroundings { through: Some(relay.address), ..Surroundings::default() };
        Self::spawn(namespace, name, lease_seconds, around)
    }

    fn spawn(namespace: &str, name: &str, lease_seconds: u8, around: Surroundings) -> Self {
        let Surroundings { through, health, peers, config: mut further, token } = around;
        let health = health.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let binary = std::env::var("PILOTHOUSE_BINARY")
            .expect("PILOTHOUSE_BINARY must name the program: run `tests/run cluster`, which builds it");
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, acting_as(namespace, name, through)).expect("the kubeconfig is written");
        let config = folder.path().join("config.yaml");
        further["operator"] = json!({ "peers": peers });
        fs::write(&config, further.to_string()).expect("the configuration");
        let log = File::create(folder.path().join("stderr")).expect("a log file");
        let child = Command::new(binary)
            .args(["serve", "--allow-anonymous", "--http", "127.0.0.1:0", "--health", &health.to_string()])
            .arg("--config")
            .arg(config)
            .args(["--operator", "on", "--namespace", namespace])
            .args(["--lease-seconds", &lease_seconds.to_string()])
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .arg("--data")
            .arg(folder.path().join("data"))
            .env("POD_NAME", name)
            .envs(token.map(|token| ("PILOTHOUSE_TOKEN", token)))
            .env("PILOTHOUSE_IMAGE", "docker.io/pilothouse/pilothouse:test")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        Self { child, name: name.to_owned(), folder }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, signal).expect("the process is ours and there");
    }

    /// It does nothing any more, and knows nothing of it.
    pub(crate) fn stall(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn wake(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// As Kubernetes stops a pod; not waited for.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// At once, without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the process is there");
        self.child.wait().expect("it ends");
    }

    /// For [`super::process`].
    #[allow(dead_code, reason = "only the benchmarks use it")]
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// None while it starts.
    pub(crate) async fn metrics(&self) -> Option<String> {
        self.on_health_port("metrics").await
    }

    /// None while it starts.
    pub(crate) async fn on_health_port(&self, path: &str) -> Option<String> {
        let health = served_at(&self.said(), "health")?;
        reqwest::get(format!("http://{health}/{path}")).await.ok()?.text().await.ok()
    }

    /// The answer to a request of the newest revision; none while it starts.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Option<Value> {
        self.ask_as(&json!({}), method, params).await
    }

    /// As [`Self::ask`], of a client with these capabilities.
    pub(crate) async fn ask_as(&self, capabilities: &Value, method: &str, params: Value) -> Option<Value> {
        let mcp = format!("http://{}/mcp", served_at(&self.said(), "address")?);
        let request = request_as(capabilities, &mcp, None, method, params);
        let answer = request.send().await.ok()?.text().await.ok()?;
        // A stream where something came before it.
        let last = answer.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
        serde_json::from_str(last.unwrap_or(&answer)).ok()
    }

    /// The text of a tool's answer, and its record; none while it starts.
    pub(crate) async fn tool(&self, token: &str, tool: &str, arguments: Value) -> Option<(String, Value)> {
        let mcp = format!("http://{}/mcp", served_at(&self.said(), "address")?);
        let call = json!({ "name": tool, "arguments": arguments });
        let answer = request(&mcp, Some(token), "tools/call", call).send().await.ok()?.text().await.ok()?;
        let mut answer: Value = serde_json::from_str(&answer).ok()?;
        let text = answer.pointer("/result/content/0/text")?.as_str()?.to_owned();
        Some((text, answer["result"]["structuredContent"].take()))
    }

    /// What it stored since that time (RFC 3339), leases aside: `verb resource name`. None where the API server's
    /// record is not kept beside the kubeconfig.
    pub(crate) fn writes_since(&self, since: &str) -> Option<Vec<String>> {
        let events = audit_log::events(&[&self.name])?;
        let text = |event: &Value, pointer: &str| -> String {
            event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let stored = events.iter().filter(|event| {
            let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
            text(event, "/impersonatedUser/username") == self.name
                && text(event, "/stage") == "ResponseComplete"
                && !["get", "list", "watch"].contains(&text(event, "/verb").as_str())
                && text(event, "/objectRef/resource") != "leases"
                && !text(event, "/requestURI").contains("dryRun=All")
                && code.is_some_and(|code| code < 400)
                && text(event, "/requestReceivedTimestamp").as_str() > since
        });
        let words = |event: &Value| {
            let words = ["/verb", "/objectRef/resource", "/objectRef/subresource", "/objectRef/name"];
            words.map(|pointer| text(event, pointer)).join(" ")
        };
        Some(stored.map(words).collect())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kubeconfig() -> Value {
    let text = kubectl::run(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
    serde_json::from_str(&text).expect("kubectl prints JSON")
}

/// Where the API server is; None where it has a name, which a relay's certificate check would need.
pub(crate) fn api_server() -> Option<SocketAddr> {
    let server = kubeconfig()["clusters"][0]["cluster"]["server"].as_str()?.to_owned();
    server.strip_prefix("https://")?.trim_end_matches('/').parse().ok()
}

/// The kubeconfig of the tests, in that namespace and as a service account of it, with its rights and no others.
pub(crate) fn acting_as_account(namespace: &str, account: &str) -> String {
    let mut config: Value =
        serde_json::from_str(&acting_as(namespace, account, None)).expect("it was JSON a moment ago");
    let user = &mut config["users"][0]["user"];
    user["as"] = json!(format!("system:serviceaccount:{namespace}:{account}"));
    user["as-groups"] = json!(["system:serviceaccounts", "system:authenticated"]);
    config.to_string()
}

/// The kubeconfig of the tests, in that namespace and as that user.
pub(crate) fn acting_as(namespace: &str, user: &str, through: Option<SocketAddr>) -> String {
    let mut config = kubeconfig();
    if let Some(through) = through {
        let cluster = &mut config["clusters"][0]["cluster"];
        let host = api_server().expect("an API server at an address").ip();
        cluster["server"] = json!(format!("https://{through}"));
        // The certificate is for the address behind the relay.
        cluster["tls-server-name"] = json!(host.to_string());
    }
    config["contexts"][0]["context"]["namespace"] = json!(namespace);
    config["users"][0]["user"]["as"] = json!(user);
    config["users"][0]["user"]["as-groups"] = json!(["system:masters"]);
    config.to_string()
}

/// The replica's name that holds the lease of the namespace; empty when nobody does.
pub(crate) async fn holder(client: &Client, namespace: &str) -> String {
    let lease = Api::<Lease>::namespaced(client.clone(), namespace).get_opt(LEASE).await.ok().flatten();
    let holder = lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default();
    holder.split('_').next().unwrap_or_default().to_owned()
}
