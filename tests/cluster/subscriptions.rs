//! A client that subscribed to a workload hears when its health changes, in both eras.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{kubectl, namespace::Scratch};

const DEADLINE: Duration = Duration::from_secs(60);

/// The program over stdio, its messages read as they come.
struct Client {
    child: Child,
    stdin: ChildStdin,
    messages: Receiver<Value>,
}

impl Client {
    fn start() -> Self {
        let binary = std::env::var("PILOTHOUSE_BINARY").expect("PILOTHOUSE_BINARY names the program");
        let mut child = Command::new(binary)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let (stdin, stdout) = (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(message) = serde_json::from_str(&line) else { return };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, messages }
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.stdin, "{message}").expect("the program reads");
    }

    /// The next message that `is` the wanted one; others are passed over.
    fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        while let Some(left) = DEADLINE.checked_sub(begun.elapsed()) {
            match self.messages.recv_timeout(left) {
                Ok(message) if is(&message) => return message,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        panic!("{what} did not come within {DEADLINE:?}")
    }

    fn updated(&self, uri: &str) -> Value {
        self.wait("an update", |message| {
            message["method"] == "notifications/resources/updated" && message["params"]["uri"] == uri
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn deployment(space: &Scratch) -> String {
    kubectl::apply(&format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web, namespace: {} }}
spec:
  replicas: 1
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {{ name: web, image: docker.io/pilothouse-test/busybox:1, imagePullPolicy: Never, command: [sleep, \"3600\"] }}
",
        space.name()
    ));
    kubectl::run(&["-n", space.name(), "rollout", "status", "deployment/web", "--timeout=60s"]);
    format!("cluster://_/{}/deployments.apps/web", space.name())
}

fn break_it(space: &Scratch) {
    kubectl::run(&[
        "-n",
        space.name(),
        "set",
        "image",
        "deployment/web",
        "web=docker.io/pilothouse-test/none:1",
    ]);
}

#[test]
fn a_legacy_session_hears_of_its_workload() {
    let space = Scratch::new("subscribe");
    let uri = deployment(&space);
    let mut client = Client::start();
    client.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } }));
    let hello = client.wait("the handshake", |message| message["id"] == 1);
    assert_eq!(hello["result"]["capabilities"]["resources"]["subscribe"], true, "{hello}");
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    client.send(
        &json!({ "jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": { "uri": uri } }),
    );
    client.wait("the subscription", |message| message["id"] == 2 && message.get("result").is_some());
    break_it(&space);
    client.updated(&uri);
    client.send(&json!({ "jsonrpc": "2.0", "id": 3, "method": "resources/subscribe",
        "params": { "uri": "cluster://_/nowhere-at-all/deployments.apps/web" } }));
    let refused = client.wait("a refusal", |message| message["id"] == 3);
    assert!(refused["error"]["message"].as_str().is_some_and(|why| why.contains("there is no")), "{refused}");
}

#[test]
fn a_modern_stream_hears_of_its_workload() {
    let space = Scratch::new("listen");
    let uri = deployment(&space);
    let mut client = Client::start();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" }
    });
    client.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
        "params": { "_meta": meta, "notifications": { "resourceSubscriptions": [uri] } } }));
    client.wait("the acknowledgment", |message| {
        message["method"] == "notifications/subscriptions/acknowledged"
    });
    break_it(&space);
    client.updated(&uri);
}
