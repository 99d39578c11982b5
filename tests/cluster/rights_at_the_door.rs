//! In one piece, as it is used: the program over Streamable HTTP, service accounts with tokens for it, access by RBAC,
//! and MCP servers beside our own tools. What one account sees and gets, another does not.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use futures::{FutureExt, Stream, StreamExt};
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{audit_log, installation, kubectl, namespace::Scratch, served::Served, wait::until};

const SOON: Duration = Duration::from_secs(60);
/// A review is believed for 30 s and an open stream's token is asked about each minute.
const TAKEN_BACK: Duration = Duration::from_secs(150);
const DOOR: &str = "identity: {serviceAccounts: {audience: [pilothouse]}}\naccess: {renewSeconds: 2}\n";
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// A service account, and its token for us.
struct Account {
    user: String,
    token: String,
}

impl Account {
    fn new(namespace: &str, name: &str) -> Self {
        kubectl::run(&["-n", namespace, "create", "serviceaccount", name]);
        let token = kubectl::run(&["-n", namespace, "create", "token", name, "--audience=pilothouse"]);
        Self { user: format!("system:serviceaccount:{namespace}:{name}"), token: token.trim().to_owned() }
    }

    /// Without which the rest of the token is worth nothing.
    fn signature(&self) -> &str {
        self.token.rsplit('.').next().expect("a JWT")
    }
}

/// Binds a role of the cluster, or with `role/NAME` one of the namespace, to an account of the same namespace.
fn bind(namespace: &str, role: &str, account: &str) {
    let (kind, role) = role.split_once('/').unwrap_or(("clusterrole", role));
    let (name, role) = (format!("{role}-{account}"), format!("--{kind}={role}"));
    let account = format!("--serviceaccount={namespace}:{account}");
    kubectl::run(&["-n", namespace, "create", "rolebinding", &name, &role, &account]);
}

/// Two teams, each with an object and an MCP server of its own.
struct Teams {
    red: Scratch,
    blue: Scratch,
    /// Of the MCP servers: unique in the cluster, where other tests have theirs.
    prefix: [String; 2],
}

impl Teams {
    fn new() -> Self {
        installation::permissions();
        let (red, blue) = (Scratch::new("door-red"), Scratch::new("door-blue"));
        let prefix =
            [&red, &blue].map(|space| space.name().trim_start_matches("test-door-").replace('-', ""));
        Self { red, blue, prefix }
    }

    fn spaces(&self) -> [&str; 2] {
        [self.red.name(), self.blue.name()]
    }

    /// One server for both, which each team has declared for itself.
    fn declare_servers(&self) {
        let [red, _] = self.spaces();
        kubectl::apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: there, namespace: {red}, labels: {{app: there}}}}\nspec:\n  \
             terminationGracePeriodSeconds: 0\n  containers:\n  - name: server\n    \
             image: docker.io/pilothouse-test/everything:1\n    imagePullPolicy: IfNotPresent\n    \
             command: [node, dist/index.js, streamableHttp]\n    env: [{{name: PORT, value: '3001'}}]\n    \
             readinessProbe: {{tcpSocket: {{port: 3001}}, periodSeconds: 1}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: there, namespace: {red}}}\n\
             spec: {{selector: {{app: there}}, ports: [{{port: 3001}}]}}\n"
        ));
        kubectl::run(&["-n", red, "wait", "pod/there", "--for=condition=Ready", "--timeout=90s"]);
        let address = kubectl::run(&["-n", red, "get", "service/there", "-o", "jsonpath={.spec.clusterIP}"]);
        for (space, prefix) in self.spaces().into_iter().zip(&self.prefix) {
            kubectl::run(&[
                "-n",
                space,
                "create",
                "configmap",
                &format!("of-{prefix}"),
                "--from-literal=a=b",
            ]);
            kubectl::apply(&format!(
                "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: {prefix}, namespace: {space}}}\n\
                 spec:\n  remote: {{url: 'http://{address}:3001/mcp'}}\n"
            ));
        }
    }

    async fn served(&self, more: &[&str]) -> Served {
        let [red, blue] = self.spaces();
        let mut arguments = vec!["--namespace", red, "--namespace", blue];
        arguments.extend(more);
        Served::start(DOOR, &arguments).await
    }
}

async fn tools(served: &Served, who: &Account) -> Vec<String> {
    let answer = served.ask(Some(&who.token), "tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

/// The text of a tool's answer or of its error, whichever way it came.
async fn call(served: &Served, who: &Account, tool: &str, arguments: Value) -> String {
    let asked = json!({ "name": tool, "arguments": arguments });
    let answer = served.ask(Some(&who.token), "tools/call", asked).await;
    let text = answer["result"]["content"][0]["text"].as_str().or(answer["error"]["message"].as_str());
    text.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// An open stream of the program.
struct Heard(Pin<Box<dyn Stream<Item = String> + Send>>);

impl Heard {
    fn of(answer: Response) -> Self {
        assert_eq!(answer.status(), 200, "{answer:?}");
        let pieces = answer.bytes_stream();
        Self(Box::pin(pieces.map(|piece| String::from_utf8_lossy(&piece.unwrap_or_default()).into_owned())))
    }

    /// A subscription of the newest revision to changes of the tools.
    async fn subscription(served: &Served, who: &Account) -> Self {
        let listen = json!({ "notifications": { "toolsListChanged": true } });
        Self::of(
            served.request(Some(&who.token), "subscriptions/listen", listen).send().await.expect("a stream"),
        )
    }

    /// The stream of a session of an older revision.
    async fn session(served: &Served, who: &Account) -> Self {
        let client = reqwest::Client::new();
        let post = |body: Value| {
            let request =
                client.post(served.mcp()).bearer_auth(&who.token).header("content-type", "application/json");
            request.header("accept", "application/json, text/event-stream").body(body.to_string())
        };
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
        let opened = post(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello }));
        let opened = opened.send().await.expect("an answer");
        let session = opened.headers()["mcp-session-id"].clone();
        let noted = post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        noted.header("mcp-session-id", session.clone()).send().await.expect("an answer");
        let stream = client.get(served.mcp()).bearer_auth(&who.token).header("accept", "text/event-stream");
        Self::of(stream.header("mcp-session-id", session).send().await.expect("a stream"))
    }

    async fn hears(&mut self, what: &str) {
        let heard = async {
            let mut all = String::new();
            while let Some(text) = self.0.next().await {
                all.push_str(&text);
                if all.contains(what) {
                    return;
                }
            }
            panic!("the stream ended after: {all}");
        };
        tokio::time::timeout(SOON, heard).await.unwrap_or_else(|_| panic!("{what} is not heard"));
    }

    async fn ends(mut self, within: Duration) {
        let ended = async { while self.0.next().await.is_some() {} };
        tokio::time::timeout(within, ended).await.expect("the stream ends with its account");
    }

    fn is_open(&mut self) -> bool {
        loop {
            match self.0.next().now_or_never() {
                Some(Some(_)) => {}
                Some(None) => return false,
                None => return true,
            }
        }
    }
}

#[tokio::test]
async fn two_accounts_see_and_get_what_is_theirs_and_a_third_nothing() {
    let teams = Teams::new();
    teams.declare_servers();
    let [red, blue] = teams.spaces();
    let [of_red, of_blue] = &teams.prefix;
    let (ann, bob, carl) = (Account::new(red, "ann"), Account::new(blue, "bob"), Account::new(blue, "carl"));
    bind(red, "view", "ann");
    bind(red, "pilothouse-engineer", "ann");
    bind(blue, "view", "bob");
    bind(blue, "pilothouse-observer", "bob");
    // Of his team's server one tool alone.
    let echo = format!("{of_blue}_echo");
    kubectl::apply_in(blue, &one_tool(&echo));
    bind(blue, "role/one-tool", "bob");
    let served = teams.served(&["--log", "trace"]).await;

    // Tools: our own, and those of the teams' servers.
    let anns = until("the tools of red's server are there", SOON, || async {
        let tools = tools(&served, &ann).await;
        tools.iter().any(|tool| tool.starts_with(of_red.as_str())).then_some(tools)
    })
    .await;
    let bobs = until("the tool of blue's server is there", SOON, || async {
        let tools = tools(&served, &bob).await;
        tools.contains(&echo).then_some(tools)
    })
    .await;
    let has = |tools: &[String], name: &str| tools.iter().any(|tool| tool == name);
    for (tool, ann_has, bob_has) in [
        ("list_resources", true, true),
        ("diagnose", true, false),
        ("get_logs", true, false),
        (&format!("{of_red}_echo"), true, false),
        (&format!("{of_red}_get-sum"), true, false),
        (&echo, false, true),
        (&format!("{of_blue}_get-sum"), false, false),
    ] {
        assert_eq!((has(&anns, tool), has(&bobs, tool)), (ann_has, bob_has), "{tool}: {anns:?} {bobs:?}");
    }
    assert_eq!(tools(&served, &carl).await, Vec::<String>::new());

    // Calls of a server's tool: who has none of it is told what is told of a tool that does not exist.
    let ahoy = json!({ "message": "ahoy" });
    assert!(call(&served, &bob, &echo, ahoy.clone()).await.contains("ahoy"));
    assert!(call(&served, &ann, &format!("{of_red}_echo"), ahoy.clone()).await.contains("ahoy"));
    for (who, hidden, foreign) in [
        (&ann, echo.clone(), of_blue),
        (&bob, format!("{of_red}_echo"), of_red),
        (&carl, echo.clone(), of_blue),
    ] {
        let there = call(&served, who, &hidden, ahoy.clone()).await.replace(&hidden, "TOOL");
        let not = call(&served, who, "nothing_echo", ahoy.clone()).await.replace("nothing_echo", "TOOL");
        // What follows names the nearest of the caller's own tools.
        let said = |text: &str| text.split_once(": ").map(|(said, _)| said.to_owned());
        assert_eq!(said(&there), Some("there is no tool `TOOL`".to_owned()), "{}", who.user);
        assert_eq!(said(&there), said(&not), "{}", who.user);
        assert!(!there.contains("ahoy") && !there.contains(foreign.as_str()), "{there}");
    }

    // Objects: one tool, two answers; another's namespace is like none.
    let (red_map, blue_map) = (format!("of-{of_red}"), format!("of-{of_blue}"));
    let list = |namespace: &str| json!({ "kind": "configmaps", "namespace": namespace });
    for (who, own, own_map, other, other_map) in
        [(&ann, red, &red_map, blue, &blue_map), (&bob, blue, &blue_map, red, &red_map)]
    {
        let text = call(&served, who, "list_resources", list(own)).await;
        assert!(text.contains(own_map.as_str()), "{text}");
        let mut answers = Vec::new();
        for namespace in [other, "not-there-at-all"] {
            answers.push(
                call(&served, who, "list_resources", list(namespace)).await.replace(namespace, "NAMESPACE"),
            );
        }
        assert_eq!(answers[0], answers[1], "{}", who.user);
        assert!(!answers[0].contains(other_map.as_str()), "{}", answers[0]);
    }
    let nothing = call(&served, &carl, "list_resources", list(blue)).await;
    let unknown = call(&served, &carl, "list_nothings", list(blue)).await;
    assert_eq!(nothing.replace("list_resources", "TOOL"), unknown.replace("list_nothings", "TOOL"));

    told_of_new_rights(&served, blue, &bob, &ann).await;
    if audit_log::events(&[]).is_some() {
        named_in_the_audit_log(&[(red, &ann), (blue, &bob)]).await;
    }
    written_down_nowhere(&served, &[&ann, &bob, &carl]).await;
}

/// A role that allows the call of one tool.
fn one_tool(tool: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: one-tool}}\nrules:\n\
         - {{apiGroups: [pilothouse.dev], resources: [tools], resourceNames: [{tool}], verbs: [call]}}\n"
    )
}

/// Whoever listens hears that there are more tools now; who has no more hears nothing.
async fn told_of_new_rights(served: &Served, namespace: &str, bob: &Account, ann: &Account) {
    let mut modern = Heard::subscription(served, bob).await;
    let mut legacy = Heard::session(served, bob).await;
    let mut other = Heard::subscription(served, ann).await;
    modern.hears("notifications/subscriptions/acknowledged").await;
    bind(namespace, "pilothouse-engineer", "bob");
    modern.hears(TOOLS_CHANGED).await;
    legacy.hears(TOOLS_CHANGED).await;
    let now = tools(served, bob).await;
    assert!(now.iter().any(|tool| tool == "get_logs"), "{now:?}");
    assert!(now.iter().any(|tool| tool.ends_with("_get-sum")), "all of the team's server: {now:?}");
    while let Some(Some(text)) = other.0.next().now_or_never() {
        assert!(!text.contains(TOOLS_CHANGED), "ann's view did not change: {text}");
    }
}

/// The API server says of each read for whom it was.
async fn named_in_the_audit_log(readers: &[(&str, &Account)]) {
    for (namespace, who) in readers {
        let event = until("the read is recorded", SOON, || async {
            audit_log::events(&[namespace])?.into_iter().find(|event| {
                event["objectRef"]["resource"] == "configmaps"
                    && event["objectRef"]["namespace"] == *namespace
                    && event["impersonatedUser"]["username"] == who.user.as_str()
            })
        })
        .await;
        assert!(
            event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("pilothouse-reader/")),
            "{event}"
        );
        assert_eq!(event["impersonatedUser"]["extra"]["pilothouse.dev/via"], json!(["reader"]), "{event}");
        assert_eq!(event["verb"], "list", "{event}");
    }
}

/// Neither by us nor by the API server.
async fn written_down_nowhere(served: &Served, accounts: &[&Account]) {
    let kept = until("all calls are in the audit record", SOON, || async {
        let kept = served.kept();
        accounts.iter().all(|who| kept.contains(&who.user)).then_some(kept)
    })
    .await;
    let (said, metrics) = (served.said(), served.metrics().await);
    assert!(said.contains("TRACE") && metrics.contains("# TYPE"), "there is something to look at");
    for who in accounts {
        for (place, text) in [("our log", &said), ("our metrics", &metrics), ("our audit record", &kept)] {
            assert!(!text.contains(who.signature()), "the token of {} is in {place}", who.user);
        }
        let events = audit_log::events(&[who.signature()]).unwrap_or_default();
        assert!(events.is_empty(), "the token of {} is in the API server's log: {events:?}", who.user);
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_account_that_opened_it() {
    let teams = Teams::new();
    let [red, blue] = teams.spaces();
    let (ann, gone) = (Account::new(red, "ann"), Account::new(blue, "gone"));
    for (space, name) in [(red, "ann"), (blue, "gone")] {
        bind(space, "pilothouse-observer", name);
    }
    let served = teams.served(&[]).await;
    let mut stays = Heard::subscription(&served, &ann).await;
    let modern = Heard::subscription(&served, &gone).await;
    let legacy = Heard::session(&served, &gone).await;
    kubectl::run(&["-n", blue, "delete", "serviceaccount", "gone"]);
    let begun = Instant::now();
    tokio::join!(modern.ends(TAKEN_BACK), legacy.ends(TAKEN_BACK));
    assert!(stays.is_open(), "another's stream ended too, after {:?}", begun.elapsed());
    let refused = served.request(Some(&gone.token), "tools/list", json!({})).send().await.expect("an answer");
    assert_eq!(refused.status(), 401);
}
