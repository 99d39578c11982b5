//! A fleet of servers that others wrote, legacy and dual, over stdio, Streamable HTTP and HTTP+SSE, as pods: every tool
//! of every one of them is called through pilothouse, and answers what it answers when it is spoken to directly.

use std::{collections::BTreeSet, time::Duration};

use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{kubectl, own_operator::solo, piped::Piped, replica::Replica, wait::until};

const SERVERS: &str = include_str!("fleet_real/servers.yaml");
const IMAGE: &str = "docker.io/pilothouse-test/parts:1";
/// Where the same programs are spoken to directly.
const DIRECT: &str = "direct";
/// Nine pods start beside the other tests.
const STARTED: Duration = Duration::from_secs(240);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    name: String,
    /// Of its MCPServer; the image is that of all.
    spec: Value,
    direct: Option<Vec<String>>,
    /// Tools that it lists only to who can be asked. We can, for those who can: through us all see them.
    #[serde(default)]
    asking: BTreeSet<String>,
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

    fn spoken_to_directly(&self, namespace: &str) -> Piped {
        let mut exec = kubectl::kubectl();
        exec.args(["-n", namespace, "exec", "-i", DIRECT, "--"]).args(self.command());
        Piped::start(&mut exec).unwrap_or_else(|error| panic!("{}: {error:#}", self.name))
    }
}

/// What is another one each time: moments, commits, sessions.
struct Passing(Regex);

impl Passing {
    fn new() -> Self {
        let moment = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?";
        let written = r"\w{3} \w{3} \d\d \d{4} \d\d:\d\d:\d\d GMT\S*( \([^)]*\))?";
        Self(Regex::new(&format!(r"{moment}|{written}|\b[0-9a-f]{{7,40}}\b|session \S+")).expect("a pattern"))
    }

    fn taken_out(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.0.replace_all(text, "…").into_owned().into(),
            Value::Array(items) => items.iter().map(|item| self.taken_out(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(key, member)| (key.clone(), self.taken_out(member))).collect()
            }
            other => other.clone(),
        }
    }

    /// Of an answer, what the server itself said: a newer revision adds how it is to be taken.
    fn said(&self, answer: &Value, call: &Call) -> Value {
        let result = &answer["result"];
        let content = if call.differs { &result["content"][0]["type"] } else { &result["content"] };
        self.taken_out(&json!({
            "content": content,
            "structuredContent": result.get("structuredContent"),
            "isError": result["isError"] == true,
            "error": answer.get("error"),
        }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tool_of_servers_that_others_wrote_answers_as_it_does_directly() {
    let scratch = solo("fleet-real");
    let namespace = scratch.name();
    let servers: Vec<Server> = serde_saphyr::from_str(SERVERS).expect("the list of servers");
    let mut manifests: Vec<Value> = servers.iter().map(Server::manifest).collect();
    let container = json!({ "name": "main", "image": IMAGE, "command": ["sleep", "3600"] });
    let spec = json!({ "containers": [container], "terminationGracePeriodSeconds": 0 });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": DIRECT }, "spec": spec });
    manifests.push(pod);
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": manifests });
    kubectl::apply_in(namespace, &all.to_string());
    let replica = Replica::start(namespace, "fleet-real", 10);
    kubectl::run(&["-n", namespace, "wait", "--for=condition=Ready", "pod", DIRECT, "--timeout=240s"]);

    let passing = Passing::new();
    for server in &servers {
        let mut direct = server.spoken_to_directly(namespace);
        let listed: Value =
            serde_json::from_str(&direct.ask("tools/list", &json!({})).expect("its tools")).expect("JSON");
        let tools = names(&listed, "");
        let called: BTreeSet<String> = server.calls.iter().map(|call| call.tool.clone()).collect();
        assert_eq!(called, tools, "{}: every tool is called", server.name);
        until(&format!("{} offers its tools: {}", server.name, replica.said()), STARTED, || async {
            let through = replica.ask("tools/list", json!({})).await?;
            (names(&through, &server.prefix()) == &tools | &server.asking).then_some(())
        })
        .await;
        for call in &server.calls {
            let asked =
                |name: &str| json!({ "name": name, "arguments": call.with.clone().unwrap_or(json!({})) });
            let told = direct.ask("tools/call", &asked(&call.tool)).expect("a direct answer");
            let told = passing.said(&serde_json::from_str(&told).expect("JSON"), call);
            let through = asked(&format!("{}{}", server.prefix(), call.tool));
            let through = replica.ask("tools/call", through).await.expect("an answer through us");
            // The same program runs several times here: a URI that another one has already names its server.
            let ours = format!("ph+{namespace}+{}+", server.name);
            let through: Value =
                serde_json::from_str(&through.to_string().replace(&ours, "")).expect("JSON again");
            assert_eq!(passing.said(&through, call), told, "{} {}", server.name, call.tool);
        }
    }
}

/// The names of the listed tools that begin so, without it.
fn names(listed: &Value, prefix: &str) -> BTreeSet<String> {
    let tools = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}"));
    let names = tools.iter().filter_map(|tool| tool["name"].as_str()?.strip_prefix(prefix));
    names.map(str::to_owned).collect()
}
