//! Secrets planted in every place that tools read from: none of them leaves, by no tool, log, metric or record.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write as _;

use crate::support::{kubectl, namespace::Scratch, served::Served, wait::until};

/// What each place holds. Each is found as it stands, in base64, or not at all.
const PLANTED: [(&str, &str); 16] = [
    ("a Secret's data", "planted-in-secret-4f1c"),
    ("a Secret's last-applied annotation", "planted-applied-93aa"),
    ("an environment variable with a telling name", "planted-env-c0ffee"),
    ("an environment variable with a token's shape", "ghp_1aB2cD3eF4gH5iJ6kL7mN8oP9qR0sT1uV2wX"),
    ("a ConfigMap's key", "planted-key-77d1"),
    ("a ConfigMap's properties file", "planted-properties-58be"),
    ("a kubeconfig in a ConfigMap: token", "planted-kubeconfig-token-0d9e"),
    ("a kubeconfig in a ConfigMap: key", "cGxhbnRlZC1jbGllbnQta2V5LWRhdGEtNWE1YQ"),
    ("an annotation with a telling name", "planted-annotation-e2f7"),
    ("a password in an address in an annotation", "planted-address-31bc"),
    ("a log line: password", "planted-log-password-6e6f"),
    ("a log line: Authorization", "planted-log-bearer-8a1b2c3d4e5f"),
    ("an event's message", "planted-event-2b2c"),
    ("a Helm release's values", "planted-helm-value-a9a8"),
    ("an argument after its flag", "planted-argument-1d3f"),
    ("a termination message", "planted-message-7c7d"),
];

fn planted(place: &str) -> &'static str {
    let found = PLANTED.iter().find(|(known, _)| *known == place);
    found.map(|(_, secret)| *secret).expect("a known place")
}

fn helm_release(namespace: &str) -> String {
    let release = json!({
        "name": "shop", "namespace": namespace, "version": 1,
        "info": { "status": "deployed", "first_deployed": "2026-01-01T00:00:00Z",
            "last_deployed": "2026-01-01T00:00:00Z", "description": "Install complete",
            "notes": format!("password: {}", planted("a Helm release's values")) },
        "chart": { "metadata": { "name": "shop", "version": "1.0.0", "appVersion": "1" },
            "values": { "db": { "password": planted("a Helm release's values") } } },
        "config": { "db": { "password": planted("a Helm release's values") }, "replicas": 2 },
        "manifest": "",
    });
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(release.to_string().as_bytes()).expect("packed");
    let inner = BASE64_STANDARD.encode(packed.finish().expect("packed"));
    BASE64_STANDARD.encode(inner)
}

fn plant(space: &Scratch) {
    let namespace = space.name();
    let p = planted;
    kubectl::apply(&format!(
        r#"apiVersion: v1
kind: Secret
metadata: {{ name: db, namespace: {namespace} }}
stringData: {{ password: "{secret}", note: "{applied}" }}
---
apiVersion: v1
kind: Secret
metadata:
  name: sh.helm.release.v1.shop.v1
  namespace: {namespace}
  labels: {{ owner: helm, name: shop, status: deployed, version: "1" }}
type: helm.sh/release.v1
data: {{ release: {release} }}
---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: app, namespace: {namespace} }}
data:
  ADMIN_PASSWORD: "{key}"
  application.properties: |
    mode=fast
    spring.datasource.password={properties}
  kubeconfig: |
    apiVersion: v1
    kind: Config
    users:
    - name: admin
      user:
        token: {token}
        client-key-data: {key_data}
---
apiVersion: v1
kind: Pod
metadata:
  name: leaky
  namespace: {namespace}
  labels: {{ app: leaky }}
  annotations:
    example.com/api-token: "{annotation}"
    example.com/database: "postgres://app:{address}@db.shop:5432/orders"
spec:
  terminationGracePeriodSeconds: 0
  restartPolicy: Never
  containers:
  - name: leaky
    image: docker.io/pilothouse-test/busybox:1
    imagePullPolicy: Never
    env:
    - {{ name: DB_PASSWORD, value: "{env}" }}
    - {{ name: GREETING, value: "{shape}" }}
    command: [sh, -c]
    args:
    - |
      echo "login with password={log}"
      echo "> Authorization: Bearer {bearer}"
      echo "cannot start: password={message}" > /dev/termination-log
      exit 3
    - --admin-password
    - {argument}
---
apiVersion: v1
kind: Event
metadata: {{ name: leaky.planted, namespace: {namespace} }}
involvedObject: {{ apiVersion: v1, kind: Pod, name: leaky, namespace: {namespace} }}
type: Warning
reason: Planted
message: "login refused: password={event}"
count: 3
firstTimestamp: "{now}"
lastTimestamp: "{now}"
source: {{ component: test }}
"#,
        secret = p("a Secret's data"),
        applied = p("a Secret's last-applied annotation"),
        release = helm_release(namespace),
        key = p("a ConfigMap's key"),
        properties = p("a ConfigMap's properties file"),
        token = p("a kubeconfig in a ConfigMap: token"),
        key_data = p("a kubeconfig in a ConfigMap: key"),
        annotation = p("an annotation with a telling name"),
        address = p("a password in an address in an annotation"),
        env = p("an environment variable with a telling name"),
        shape = p("an environment variable with a token's shape"),
        log = p("a log line: password"),
        bearer = p("a log line: Authorization"),
        message = p("a termination message"),
        argument = p("an argument after its flag"),
        event = p("an event's message"),
        now = jiff::Timestamp::now().round(jiff::Unit::Second).expect("a time"),
    ));
}

/// A value for every argument that a tool asks for, so that each is called on what is planted.
fn arguments(tool: &Value, namespace: &str) -> Vec<Value> {
    let properties = tool["inputSchema"]["properties"].as_object().cloned().unwrap_or_default();
    let has = |key: &str| properties.contains_key(key);
    let mut all = Vec::new();
    let objects: &[(&str, &str)] = &[
        ("Pod", "leaky"),
        ("Secret", "db"),
        ("Secret", "sh.helm.release.v1.shop.v1"),
        ("ConfigMap", "app"),
        ("Event", "leaky.planted"),
    ];
    for (kind, name) in objects {
        let mut given = json!({});
        if has("namespace") {
            given["namespace"] = json!(namespace);
        }
        if has("kind") {
            given["kind"] = json!(kind);
        }
        if has("name") {
            given["name"] = json!(if tool["name"].as_str().is_some_and(|tool| tool.contains("helm")) {
                "shop"
            } else {
                name
            });
        }
        if has("verb") {
            given["verb"] = json!("get");
        }
        if has("edits") {
            given["edits"] = json!({ "metadata.labels.x": "y" });
            given["reason"] = json!("a test");
        }
        if has("id") {
            given["id"] = json!("none");
        }
        all.push(given.clone());
        if has("name") {
            given.as_object_mut().expect("an object").remove("name");
            all.push(given);
        }
    }
    all.dedup();
    all
}

#[tokio::test]
async fn no_planted_secret_leaves() {
    let space = Scratch::new("planted");
    plant(&space);
    until("the pod has ended", Duration::from_secs(60), || async {
        let phase =
            kubectl::run(&["-n", space.name(), "get", "pod", "leaky", "-o", "jsonpath={.status.phase}"]);
        (phase.trim() == "Failed").then_some(())
    })
    .await;
    let served = Served::start("", &[]).await;
    let listed = served.ask(None, "tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().cloned().expect("tools");
    let mut answers = Vec::new();
    for tool in &tools {
        let name = tool["name"].as_str().expect("a name");
        for arguments in arguments(tool, space.name()) {
            let answer =
                served.ask(None, "tools/call", json!({ "name": name, "arguments": arguments })).await;
            answers.push((format!("{name} {arguments}"), answer.to_string()));
        }
    }
    for (kind, name) in [("secrets", "db"), ("configmaps", "app"), ("pods", "leaky")] {
        let uri = format!("cluster://_/{}/{kind}/{name}", space.name());
        let answer = served.ask(None, "resources/read", json!({ "uri": uri })).await;
        answers.push((uri, answer.to_string()));
    }
    answers.push(("stderr".to_owned(), served.said()));
    answers.push(("the record".to_owned(), served.kept()));
    answers.push(("the metrics".to_owned(), served.metrics().await));

    // The places were really read: what stands beside the secrets is there.
    let everything = answers.iter().fold(String::new(), |all, (_, text)| all + text);
    for beside in ["login with", "mode=fast", "login refused", "<redacted:", "GREETING", "--admin-password"] {
        assert!(everything.contains(beside), "nothing showed `{beside}`");
    }
    let mut leaks = Vec::new();
    for (from, text) in &answers {
        for (place, secret) in PLANTED {
            let packed = BASE64_STANDARD.encode(secret);
            let packed = packed.trim_end_matches('=');
            if text.contains(secret) || text.contains(packed) {
                leaks.push(format!("{place}: by {from}"));
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}
