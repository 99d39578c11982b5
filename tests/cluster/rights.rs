//! What a caller sees and may do through pilothouse is what the cluster's own access rules let this caller do.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use pilothouse::{
    app::{App, Configuration, Sources},
    caller::{Caller, Proof},
    cluster::{ConnectOptions, Connection, connect},
    mcp::Face,
};
use serde_json::{Value, json};

use crate::support::{audit_log, installation, kubectl, namespace::Scratch, talk::Talk, wait::until};

const SOON: Duration = Duration::from_secs(20);
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// pilothouse in this process, at home in `own`, with the rights of the tests' kubeconfig.
struct House {
    face: Arc<Face>,
    _data: tempfile::TempDir,
}

impl House {
    async fn at(own: &str) -> Self {
        Self::reaching(connection().await, own)
    }

    fn reaching(connection: Connection, own: &str) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut connection = connection;
        own.clone_into(&mut connection.namespace);
        let sources = Sources {
            cluster: Ok(connection),
            live: true,
            namespaces: vec![own.to_owned()],
            servers: None,
            operator: None,
            data: data.path().to_owned(),
            audit_to_stderr: false,
            cursor_key: None,
        };
        let mut configuration = Configuration::default();
        configuration.access.renew_seconds = 2;
        let app = App::assemble(sources, configuration).expect("an app");
        let face = app.face();
        // Nothing of its background work is needed.
        drop(app);
        Self { face, _data: data }
    }

    async fn talk(&self, caller: &Caller) -> Talk {
        Talk::open(self.face.clone(), caller.clone()).await
    }
}

async fn connection() -> Connection {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    connect(&ConnectOptions::default()).await.expect("KUBECONFIG names a cluster")
}

/// A service account as its reviewed token describes it.
fn account(namespace: &str, name: &str) -> Caller {
    kubectl::run(&["-n", namespace, "create", "serviceaccount", name]);
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    let pod = ("authentication.kubernetes.io/pod-name".to_owned(), vec![format!("{name}-0")]);
    Caller {
        user: format!("system:serviceaccount:{namespace}:{name}"),
        groups: groups.into_iter().chain(["system:authenticated".to_owned()]).collect(),
        extra: BTreeMap::from([pod]),
        proof: Proof::TokenReview,
    }
}

/// Binds a ClusterRole to a service account in a namespace.
fn bind(namespace: &str, role: &str, account: &Caller) {
    let account = account.user.trim_start_matches("system:serviceaccount:");
    let name = format!("{role}-{}", account.replace(':', "-"));
    let (role, account) = (format!("--clusterrole={role}"), format!("--serviceaccount={account}"));
    kubectl::run(&["-n", namespace, "create", "rolebinding", &name, &role, &account]);
}

fn config_map(namespace: &str, name: &str) {
    kubectl::run(&["-n", namespace, "create", "configmap", name, "--from-literal=a=b"]);
}

#[tokio::test]
async fn two_accounts_with_different_rights_get_two_answers_of_one_tool() {
    installation::permissions();
    let (red, blue) = (Scratch::new("rights-red"), Scratch::new("rights-blue"));
    config_map(red.name(), "in-red");
    config_map(blue.name(), "in-blue");
    let (ann, bob) = (account(red.name(), "ann"), account(blue.name(), "bob"));
    for (space, who) in [(&red, &ann), (&blue, &bob)] {
        bind(space.name(), "view", who);
        bind(space.name(), "pilothouse-observer", who);
    }
    let house = House::at(red.name()).await;
    let mut seen = Vec::new();
    for who in [&ann, &bob] {
        let mut talk = house.talk(who).await;
        for space in [&red, &blue] {
            let asked = json!({ "kind": "configmaps", "namespace": space.name() });
            seen.push(talk.call("list_resources", asked).await);
        }
    }
    assert!(seen[0].contains("in-red"), "{}", seen[0]);
    assert!(seen[3].contains("in-blue"), "{}", seen[3]);
    // The house is at home in red, so that ann's tools are granted in every namespace; bob's in blue alone.
    for (text, hidden) in [(&seen[1], "in-blue"), (&seen[2], "in-red")] {
        assert!(!text.contains(hidden) && text.contains("is not there or you may not"), "{text}");
    }
}

#[tokio::test]
async fn a_namespace_that_may_not_be_seen_answers_like_one_that_is_not_there() {
    installation::permissions();
    let (red, blue) = (Scratch::new("rights-seen"), Scratch::new("rights-unseen"));
    config_map(blue.name(), "secret-plan");
    // A binding whose role is gone: the API server would name it.
    kubectl::run(&[
        "-n",
        blue.name(),
        "create",
        "rolebinding",
        "x",
        "--role=gone",
        "--group=system:authenticated",
    ]);
    let ann = account(red.name(), "ann");
    bind(red.name(), "view", &ann);
    bind(red.name(), "pilothouse-observer", &ann);
    // Once at home where ann has the tools, once where not.
    for home in [red.name(), "default"] {
        let mut talk = House::at(home).await.talk(&ann).await;
        for (tool, arguments) in [
            ("list_resources", json!({ "kind": "configmaps" })),
            ("get_resource", json!({ "kind": "configmaps", "name": "secret-plan" })),
            ("get_resource", json!({ "kind": "configmaps", "name": "secret-plane" })),
            ("list_events", json!({})),
            ("cluster_overview", json!({})),
            ("list_mcp_servers", json!({})),
            ("get_mcp_server", json!({ "name": "x" })),
        ] {
            let mut answers = Vec::new();
            for namespace in [blue.name(), "not-there-at-all"] {
                let mut arguments = arguments.clone();
                arguments["namespace"] = json!(namespace);
                answers.push(talk.call(tool, arguments).await.replace(namespace, "NAMESPACE"));
            }
            assert_eq!(answers[0], answers[1], "{tool} {arguments} at {home}");
            assert!(!answers[0].contains("secret-plan\"") && !answers[0].contains("gone"), "{}", answers[0]);
        }
        let everywhere = talk.call("list_resources", json!({ "kind": "configmaps" })).await;
        assert!(everywhere.contains("name a `namespace`"), "{everywhere}");
    }
}

#[tokio::test]
async fn without_rights_there_are_neither_objects_nor_tools() {
    installation::permissions();
    let space = Scratch::new("rights-none");
    config_map(space.name(), "here");
    let nobody = account(space.name(), "nobody");
    let mut talk = House::at(space.name()).await.talk(&nobody).await;
    assert_eq!(talk.tools().await, Vec::<String>::new());
    let asked = json!({ "kind": "configmaps", "namespace": space.name() });
    let there = talk.call("list_resources", asked.clone()).await;
    let not = talk.call("list_nothings", asked).await;
    assert_eq!(there.replace("list_resources", "X"), not.replace("list_nothings", "X"));
}

#[tokio::test]
async fn a_change_of_access_rules_is_told_to_whom_it_concerns() {
    installation::permissions();
    let space = Scratch::new("rights-told");
    let (ann, bob) = (account(space.name(), "ann"), account(space.name(), "bob"));
    bind(space.name(), "view", &ann);
    bind(space.name(), "pilothouse-observer", &bob);
    let house = House::at(space.name()).await;
    let (mut to_ann, mut to_bob) = (house.talk(&ann).await, house.talk(&bob).await);
    assert_eq!(to_ann.tools().await, Vec::<String>::new());
    let before = to_bob.tools().await;

    bind(space.name(), "pilothouse-engineer", &ann);
    to_ann.hears(TOOLS_CHANGED).await;
    let tools = to_ann.tools().await;
    assert!(tools.contains(&"get_logs".to_owned()), "{tools:?}");
    // And taken away.
    let binding = format!("pilothouse-engineer-{}-ann", space.name());
    kubectl::run(&["-n", space.name(), "delete", "rolebinding", &binding]);
    to_ann.hears(TOOLS_CHANGED).await;
    assert_eq!(to_ann.tools().await, Vec::<String>::new());
    assert_eq!(to_bob.tools().await, before);
    assert_eq!(to_bob.told(), Vec::<String>::new(), "bob's view did not change");
}

#[tokio::test]
async fn a_missing_right_to_impersonate_says_what_to_bind() {
    installation::permissions();
    let space = Scratch::new("rights-imp");
    let ann = account(space.name(), "ann");
    bind(space.name(), "view", &ann);
    bind(space.name(), "pilothouse-observer", &ann);
    let house = House::reaching(installed_account(&connection().await).await, space.name());
    let mut talk = house.talk(&ann).await;
    let refused = talk.ask("tools/list", json!({})).await;
    let said = refused["error"]["message"].as_str().expect("a refusal");
    assert!(said.contains("bind the ClusterRole pilothouse-impersonator in namespace"), "{said}");
    kubectl::run(&[
        "-n",
        space.name(),
        "create",
        "rolebinding",
        "pilothouse-impersonator",
        "--clusterrole=pilothouse-impersonator",
        "--serviceaccount=pilothouse:pilothouse",
    ]);
    let talk = tokio::sync::Mutex::new(talk);
    until("ann's tools are there", SOON, || async {
        let answer = talk.lock().await.ask("tools/list", json!({})).await;
        answer["result"]["tools"].as_array().is_some_and(|tools| !tools.is_empty()).then_some(())
    })
    .await;
    // A person is named in no role yet.
    let carl =
        Caller { user: "carl".into(), groups: vec![], extra: BTreeMap::new(), proof: Proof::MappedToken };
    let refused = house.talk(&carl).await.ask("tools/list", json!({})).await;
    let said = refused["error"]["message"].as_str().expect("a refusal");
    assert!(said.contains("lets it impersonate users `carl`"), "{said}");
}

/// The cluster, reached with the token of the installed account.
async fn installed_account(connection: &Connection) -> Connection {
    let token = kubectl::run(&["-n", "pilothouse", "create", "token", "pilothouse"]);
    let mut config: Value = serde_json::from_str(&kubectl::run(&["config", "view", "--raw", "-o", "json"]))
        .expect("a kubeconfig");
    config["users"][0]["user"] = json!({ "token": token.trim() });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    fs::write(&file, config.to_string()).expect("the file is written");
    let options = ConnectOptions { kubeconfig: Some(file), context: None };
    let mut made = connect(&options).await.expect("it connects");
    made.namespace.clone_from(&connection.namespace);
    made
}

#[tokio::test]
async fn who_may_and_why_not_is_answered_as_far_as_the_caller_may_know() {
    installation::permissions();
    let (space, other) = (Scratch::new("rights-ask"), Scratch::new("rights-other"));
    let (ann, boss) = (account(space.name(), "ann"), account(space.name(), "boss"));
    for who in [&ann, &boss] {
        bind(space.name(), "view", who);
        bind(space.name(), "pilothouse-observer", who);
    }
    bind(space.name(), "admin", &boss);
    let house = House::at(space.name()).await;
    let (mut to_ann, mut to_boss) = (house.talk(&ann).await, house.talk(&boss).await);
    let logs = json!({ "verb": "get", "kind": "pods/log", "namespace": space.name() });
    let yes = to_ann.call("check_access", logs.clone()).await;
    assert!(yes.starts_with(&format!("Yes: {} may get pods/log in namespace", ann.user)), "{yes}");
    // Ann may read no bindings, but what gave it the API server says itself.
    assert!(yes.contains("ClusterRole \"view\""), "{yes}");
    assert!(yes.contains("You may not list clusterroles, roles, clusterrolebindings, rolebindings"), "{yes}");

    let kill = json!({ "verb": "delete", "kind": "pods", "namespace": space.name() });
    let no = to_ann.call("check_access", kill.clone()).await;
    assert!(no.starts_with("No: ") && no.contains("you may not list clusterroles"), "{no}");
    // The boss may read the bindings of the namespace and sees who else may; and may not ask about others
    // where the roles stay hidden.
    let yes = to_boss.call("check_access", kill.clone()).await;
    assert!(yes.starts_with("Yes: ") && yes.contains("admin"), "{yes}");
    let about = json!({ "verb": "get", "kind": "pods", "namespace": space.name(), "user": ann.user });
    let refused = to_ann.call("check_access", about.clone()).await;
    assert!(refused.contains("you may ask about yourself only"), "{refused}");

    // Elsewhere the answer is the same whether the namespace is there or not.
    let mut answers = Vec::new();
    for namespace in [other.name(), "not-there-at-all"] {
        let asked = json!({ "verb": "get", "kind": "pods", "namespace": namespace });
        answers.push(to_ann.call("check_access", asked).await.replace(namespace, "NAMESPACE"));
    }
    assert_eq!(answers[0], answers[1]);

    // Whoever started the process with the rights of an administrator learns everything.
    let mut admin = house.talk(&Caller::process()).await;
    let full = admin.call("check_access", about).await;
    assert!(full.starts_with("Yes: ") && full.contains("RoleBinding"), "{full}");
    assert!(full.contains(&format!("ServiceAccount {}/boss", space.name())), "{full}");
    assert!(!full.contains("kube-system/"), "controllers are only counted: {full}");
    let no = json!({ "verb": "delete", "kind": "pods", "namespace": space.name(), "user": ann.user });
    let no = admin.call("check_access", no).await;
    assert!(no.contains("may only get, list, watch"), "{no}");
    assert!(no.contains("create rolebinding NAME --clusterrole="), "{no}");
}

#[tokio::test]
async fn the_audit_log_names_the_caller() {
    installation::permissions();
    if audit_log::events(&[]).is_none() {
        return;
    }
    let space = Scratch::new("rights-audit");
    let ann = account(space.name(), "ann");
    bind(space.name(), "view", &ann);
    bind(space.name(), "pilothouse-observer", &ann);
    let mut talk = House::at(space.name()).await.talk(&ann).await;
    talk.call("list_resources", json!({ "kind": "configmaps", "namespace": space.name() })).await;
    let event = until("the event is recorded", SOON, || async {
        audit_log::events(&[space.name()])?.into_iter().find(|event| {
            event["objectRef"]["resource"] == "configmaps"
                && event["objectRef"]["namespace"] == space.name()
                && event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("pilothouse-reader/"))
        })
    })
    .await;
    let asked = &event["impersonatedUser"];
    assert_eq!(asked["username"], ann.user, "{event}");
    assert_eq!(asked["extra"]["pilothouse.dev/via"], json!(["reader"]), "{event}");
    assert_eq!(asked["extra"]["authentication.kubernetes.io/pod-name"], json!(["ann-0"]), "{event}");
    let groups: Vec<String> = serde_json::from_value(asked["groups"].clone()).expect("groups");
    assert!(ann.groups.iter().all(|group| groups.contains(group)), "{event}");
}

/// Capitals, blanks and letters beyond ASCII arrive as they were, or do not leave.
#[tokio::test]
async fn extras_arrive_as_they_were() {
    let reader = connection().await.reader;
    let odd = ["example.org/a b", "example.org/ä%2f", "plain", "example.org/x_y.z~"];
    let extra = odd.map(|key| (key.to_owned(), vec!["Ü+ %20 /".to_owned(), "2".to_owned()]));
    let groups = vec!["Ops Team/ä".to_owned()];
    let carl = Caller { user: "Carl Ö@x".into(), groups, extra: BTreeMap::from(extra), proof: Proof::Oidc };
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let reader = reader.for_caller(&carl).expect("carl can be named");
    let answer = reader.review("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await;
    let user = answer.expect("a review")["status"]["userInfo"].clone();
    assert_eq!(user["username"], "Carl Ö@x");
    assert_eq!(user["groups"], json!(["Ops Team/ä", "system:authenticated"]));
    for key in odd {
        assert_eq!(user["extra"][key], json!(["Ü+ %20 /", "2"]), "{key}: {user}");
    }
}
