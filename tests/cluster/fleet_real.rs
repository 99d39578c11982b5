//! A fleet of servers that others wrote, legacy and dual, over stdio, Streamable HTTP and HTTP+SSE, as pods: every tool
//! of every one of them is called through pilothouse, and answers what it answers when it is spoken to directly.
//!
//! Some answer that they cannot, directly too: there is no Helm for three tools of `mcp-server-kubernetes`, no
//! OpenShift for `projects_list` of `kubernetes-mcp-server`, no viewer that would hand in pages to `server-pdf`; and the
//! account that Kubernetes servers have has rights in its namespace alone.

mod asked;
mod passing;

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use self::{
    asked::{answer, capabilities, through},
    passing::{Passing, redactions},
};
use crate::support::{kubectl, own_operator::solo, piped::Piped, replica::Replica, wait::until};

const SERVERS: &str = include_str!("fleet_real/servers.yaml");
const AROUND: &str = include_str!("fleet_real/around.yaml");
const IMAGE: &str = "docker.io/pilothouse-test/parts:1";
/// Where the same programs are spoken to directly.
const DIRECT: &str = "direct";
/// Servers that are asked at once.
const AT_ONCE: usize = 4;
/// All pods start at once, beside the other tests.
const STARTED: Duration = Duration::from_secs(300);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    name: String,
    /// Of its MCPServer; the image is that of all.
    spec: Value,
    direct: Option<Vec<String>>,
    calls: Vec<Call>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    tool: String,
    #[serde(default)]
    with: Option<Value>,
    /// Its text tells of the process that answers.
    #[serde(default)]
    differs: bool,
    /// It asks its client something.
    #[serde(default)]
    asks: bool,
    /// Secrets in its answer, which do not come through us.
    #[serde(default)]
    secrets: u64,
}

impl Call {
    /// The request's params; `name` is what the tool is called there.
    fn params(&self, name: &str, namespace: &str, side: &str) -> Value {
        let with = self.with.clone().unwrap_or(json!({})).to_string();
        let with = with.replace("NAMESPACE", namespace).replace("SIDE", side);
        let with: Value = serde_json::from_str(&with).expect("it stays JSON");
        json!({ "name": name, "arguments": with })
    }
}

impl Server {
    fn manifest(&self) -> Value {
        let mut spec = self.spec.clone();
        spec["image"] = json!(IMAGE);
        spec["imagePullPolicy"] = json!("IfNotPresent");
        spec["resources"] = json!({ "requests": { "cpu": "10m", "memory": "32Mi" } });
        let metadata = json!({ "name": self.name });
        json!({ "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer", "metadata": metadata, "spec": spec })
    }

    /// What stands before its tools.
    fn prefix(&self) -> String {
        format!("{}_", self.name.replace('-', ""))
    }

    fn command(&self) -> Vec<String> {
        self.direct.clone().unwrap_or_else(|| {
            let words = self.spec["command"].as_array().expect("a command").iter();
            words.map(|word| word.as_str().expect("a word").to_owned()).collect()
        })
    }

    /// By a client that can be asked, if it asks: some tools are listed only to such a one.
    fn spoken_to_directly(&self, namespace: &str) -> Piped {
        let mut exec = kubectl::kubectl();
        exec.args(["-n", namespace, "exec", "-i", DIRECT, "--"]).args(self.command());
        let asks = self.calls.iter().any(|call| call.asks);
        let capabilities = if asks { capabilities() } else { json!({}) };
        let piped = Piped::start_asked(&mut exec, &capabilities, answer);
        piped.unwrap_or_else(|error| panic!("{}: {error:#}", self.name))
    }

    /// Its tools are the same through us, and so is what they answer.
    async fn is_the_same(&self, namespace: &str, replica: &Replica, passing: &Passing) {
        let mut direct = self.spoken_to_directly(namespace);
        let listed = direct.ask("tools/list", &json!({})).expect("its tools");
        let tools = names(&serde_json::from_str(&listed).expect("JSON"), "");
        let called: BTreeSet<String> = self.calls.iter().map(|call| call.tool.clone()).collect();
        assert_eq!(called, tools, "{}: every tool is called", self.name);
        until(&format!("{} offers its tools: {}", self.name, replica.said()), STARTED, || async {
            let through = replica.ask("tools/list", json!({})).await?;
            (names(&through, &self.prefix()) == tools).then_some(())
        })
        .await;
        for call in &self.calls {
            let told = direct.ask("tools/call", &call.params(&call.tool, namespace, "a"));
            let told = told.unwrap_or_else(|error| panic!("{} {}: {error:#}", self.name, call.tool));
            let told: Value = serde_json::from_str(&told).expect("JSON");
            let params = call.params(&format!("{}{}", self.prefix(), call.tool), namespace, "b");
            let answer = through(replica, params, call.asks).await;
            // The same program runs several times here: a URI that another one has already names its server.
            let ours = format!("ph+{namespace}+{}+", self.name);
            let answer: Value =
                serde_json::from_str(&answer.to_string().replace(&ours, "")).expect("JSON again");
            assert_eq!(redactions(&answer), call.secrets, "{} {}: {answer}", self.name, call.tool);
            let (answer, told) = (passing.said(&answer, call.differs), passing.said(&told, call.differs));
            assert_eq!(answer, told, "{} {}", self.name, call.tool);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tool_of_servers_that_others_wrote_answers_as_it_does_directly() {
    let scratch = solo("fleet-real");
    let namespace = scratch.name();
    kubectl::apply_in(namespace, AROUND);
    let servers: Vec<Server> = serde_saphyr::from_str(SERVERS).expect("the list of servers");
    let manifests: Vec<Value> = servers.iter().map(Server::manifest).collect();
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": manifests });
    kubectl::apply_in(namespace, &all.to_string());
    let replica = Replica::start(namespace, "fleet-real", 10);
    let ready = ["--for=condition=Ready", "pod", DIRECT, "beside", "--timeout=240s"];
    kubectl::run(&[&["-n", namespace, "wait"], ready.as_slice()].concat());
    let (passing, runtime) = (Passing::new(), Handle::current());
    let left = Mutex::new(servers.iter());
    let next = || left.lock().expect("nobody panics with it").next();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(server) = next() {
                    runtime.block_on(server.is_the_same(namespace, &replica, &passing));
                }
            });
        }
    });
}

/// The names of the listed tools that begin so, without it.
fn names(listed: &Value, prefix: &str) -> BTreeSet<String> {
    let tools = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}"));
    let names = tools.iter().filter_map(|tool| tool["name"].as_str()?.strip_prefix(prefix));
    names.map(str::to_owned).collect()
}
