//! The main job: an MCPServer is applied to a real cluster, its tools appear in clients that were not written
//! here, answer, and go with it.

use std::time::Duration;

use crate::support::{
    follower::{Follower, WITNESSES, Wanted, clients_pod},
    installation::{TOKEN, installed},
    kubectl,
    namespace::Scratch,
};

/// A pod has to be scheduled and a Node program to start; the budget of the product is measured in the benchmark.
const SOON: Duration = Duration::from_secs(90);

/// The clients connect, `manifest` is applied, all see `tool`, call it, get an answer that holds `answer`;
/// the manifest is deleted, and all see the tool go.
fn appears_answers_goes(namespace: &str, manifest: &str, tool: &str, arguments: &str, answer: &str) {
    clients_pod(namespace, TOKEN);
    let followers = everywhere(namespace, Wanted { tool, arguments, seconds: "0" });
    kubectl::apply(manifest);
    for follower in &followers {
        follower.expect("appeared", SOON);
        let said = follower.expect("answer", SOON);
        assert_eq!(said["error"], false, "{said}");
        assert!(said["text"].as_str().is_some_and(|text| text.contains(answer)), "{said}");
    }
    kubectl::run(&["-n", namespace, "delete", "mcpserver", "--all", "--wait=false"]);
    for follower in &followers {
        follower.expect("gone", SOON);
    }
}

/// A connected client over each transport, in the cluster and on this machine.
fn everywhere(namespace: &str, wanted: Wanted<'_>) -> Vec<Follower> {
    let mut followers: Vec<Follower> =
        WITNESSES.into_iter().map(|witness| Follower::in_cluster(namespace, witness, wanted)).collect();
    followers.push(Follower::on_laptop(wanted, &["--namespace", namespace]));
    for follower in &followers {
        follower.expect("connected", SOON);
    }
    followers
}

fn everything(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  image: docker.io/pilothouse-test/everything:1\n  imagePullPolicy: IfNotPresent\n  \
         command: [node, dist/index.js, streamableHttp]\n  port: 3001\n  env: [{{name: PORT, value: '3001'}}]\n"
    )
}

#[test]
fn an_image_that_speaks_streamable_http() {
    installed();
    let scratch = Scratch::new("main-http");
    let manifest = everything(scratch.name(), "every");
    appears_answers_goes(scratch.name(), &manifest, "every_echo", r#"{"message":"ahoy"}"#, "ahoy");
}

#[test]
fn a_server_that_is_already_there() {
    installed();
    let scratch = Scratch::new("main-remote");
    let namespace = scratch.name();
    kubectl::apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: there, namespace: {namespace}, labels: {{app: there}}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: server\n    \
         image: docker.io/pilothouse-test/everything:1\n    imagePullPolicy: IfNotPresent\n    \
         command: [node, dist/index.js, streamableHttp]\n    env: [{{name: PORT, value: '3001'}}]\n    \
         readinessProbe: {{tcpSocket: {{port: 3001}}, periodSeconds: 1}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: there, namespace: {namespace}}}\n\
         spec: {{selector: {{app: there}}, ports: [{{port: 3001}}]}}\n"
    ));
    kubectl::run(&["-n", namespace, "wait", "pod/there", "--for=condition=Ready", "--timeout=90s"]);
    // A laptop has no cluster DNS: the address of the Service is reached from both sides.
    let address =
        kubectl::run(&["-n", namespace, "get", "service/there", "-o", "jsonpath={.spec.clusterIP}"]);
    let manifest = format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: away, namespace: {namespace}}}\n\
         spec:\n  remote: {{url: 'http://{address}:3001/mcp'}}\n"
    );
    appears_answers_goes(namespace, &manifest, "away_echo", r#"{"message":"ahoy"}"#, "ahoy");
}

#[test]
fn a_stdio_server_bridged_in_its_pod() {
    installed();
    let scratch = Scratch::new("main-stdio");
    let namespace = scratch.name();
    let manifest = format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: clock, namespace: {namespace}}}\n\
         spec:\n  image: docker.io/pilothouse-test/python:1\n  imagePullPolicy: IfNotPresent\n  transport: stdio\n  \
         command: [mcp-server-time]\n  args: [--local-timezone, Europe/Paris]\n"
    );
    let arguments = r#"{"timezone":"Europe/Paris"}"#;
    appears_answers_goes(namespace, &manifest, "clock_get_current_time", arguments, "Europe/Paris");
}

#[test]
fn of_two_servers_one_is_killed_during_calls_to_the_other() {
    installed();
    let scratch = Scratch::new("main-killed");
    let namespace = scratch.name();
    clients_pod(namespace, TOKEN);
    kubectl::apply(&everything(namespace, "steady"));
    kubectl::apply(&everything(namespace, "shaky"));
    let words = r#"{"message":"ahoy"}"#;
    let registered =
        ["-n", namespace, "wait", "mcpserver", "--all", "--for=condition=Registered", "--timeout=90s"];
    kubectl::run(&registered);
    for tool in ["steady_echo", "shaky_echo"] {
        let first = Follower::calls(namespace, tool, words, ["--until-answered", "60"]);
        first.expect("connected", SOON);
        assert_eq!(first.expect("done", SOON)["last"], "Echo: ahoy", "{tool}");
    }

    let undisturbed = everywhere(namespace, Wanted { tool: "steady_echo", arguments: words, seconds: "12" });
    for follower in &undisturbed {
        follower.expect("appeared", SOON);
    }
    let kill = [
        "-n",
        namespace,
        "delete",
        "pod",
        "-l",
        "app.kubernetes.io/instance=shaky",
        "--grace-period=0",
        "--force",
    ];
    kubectl::run(&kill);
    for follower in &undisturbed {
        let done = follower.expect("answer", SOON);
        assert_eq!(done["failed"], 0, "{done}");
        assert!(done["calls"].as_u64().is_some_and(|calls| calls > 50), "{done}");
    }
    drop(undisturbed);

    let back = Follower::calls(namespace, "shaky_echo", words, ["--until-answered", "60"]);
    back.expect("connected", SOON);
    let done = back.expect("done", SOON);
    assert_eq!(done["last"], "Echo: ahoy", "its own tools come back by themselves: {done}");
}

#[test]
fn our_own_tools_read_as_the_viewer_and_see_no_secret() {
    installed();
    let scratch = Scratch::new("main-own");
    let namespace = scratch.name();
    clients_pod(namespace, TOKEN);
    let once = ["--until-answered", "30"];
    let listing = format!(r#"{{"kind":"pods","namespace":"{namespace}"}}"#);
    let pods = Follower::calls(namespace, "list_resources", &listing, once);
    pods.expect("connected", SOON);
    let done = pods.expect("done", SOON);
    assert!(
        done["last"].as_str().is_some_and(|text| text.contains("clients") && text.contains("1 ")),
        "{done}"
    );

    let secret = r#"{"kind":"Secret","namespace":"pilothouse","name":"pilothouse-token"}"#;
    let refused = Follower::calls(namespace, "get_resource", secret, ["--seconds", "1"]);
    refused.expect("connected", SOON);
    let done = refused.expect("done", SOON);
    assert_eq!(done["failed"], done["calls"], "the viewer may read no Secret: {done}");
    assert!(done["last"].as_str().is_some_and(|text| !text.contains(TOKEN)), "{done}");
}
