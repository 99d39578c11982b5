//! `check_access` on a recorded cluster: roles and bindings decide. No cluster is needed.

use std::{fs, process::Command};

use pilothouse::{answer::Answer, caller::Caller};
use serde_json::{Value, json};

use crate::recorded_shop::{call, folder, tools_on};

/// The roles of a usual cluster, and who has them.
const ROLES: &[(&str, &str)] = &[
    (
        "clusterroles",
        r#"{"kind":"ClusterRole","metadata":{"name":"view"},"rules":[{"apiGroups":[""],"resources":["pods","pods/log"],"verbs":["get","list","watch"]}]}
{"kind":"ClusterRole","metadata":{"name":"edit"},"rules":[{"apiGroups":[""],"resources":["pods","pods/log"],"verbs":["get","list","watch","delete"]}]}
{"kind":"ClusterRole","metadata":{"name":"cluster-admin"},"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}
"#,
    ),
    (
        "clusterrolebindings",
        r#"{"kind":"ClusterRoleBinding","metadata":{"name":"platform"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"Group","name":"platform"}]}
"#,
    ),
    (
        "rolebindings",
        r#"{"kind":"RoleBinding","metadata":{"name":"devs","namespace":"shop"},"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"Group","name":"devs"},{"kind":"ServiceAccount","namespace":"shop","name":"default"}]}
"#,
    ),
];

async fn ask(arguments: Value) -> Answer {
    let copy = tempfile::tempdir().unwrap();
    let dir = copy.path().join("shop");
    assert!(Command::new("cp").arg("-R").arg(folder()).arg(&dir).status().unwrap().success());
    for (plural, lines) in ROLES {
        let file = dir.join(format!("resources/{plural}.rbac.authorization.k8s.io.jsonl"));
        fs::write(&file, format!("{}{lines}", fs::read_to_string(&file).unwrap())).unwrap();
    }
    call(&tools_on(&dir), &Caller::process(), "check_access", arguments).await
}

#[tokio::test]
async fn a_yes_names_the_binding_and_the_others() {
    let asked = json!({ "verb": "get", "kind": "pods/log", "namespace": "shop", "user": "ann", "groups": "devs, ops" });
    let yes = ask(asked).await;
    let expected = "\
Yes: ann may get pods/log in namespace shop.
Given by: RoleBinding shop/devs (ClusterRole view, to Group devs)
Others who may: Group platform, ServiceAccount shop/default
This follows from roles and bindings alone; the API server was not asked.
";
    assert_eq!(yes.text, expected);
    let record = yes.structured.unwrap();
    assert_eq!(record["allowed"], true);
    assert_eq!(record["others"], json!(["Group platform", "ServiceAccount shop/default"]));
}

#[tokio::test]
async fn a_no_says_what_one_may_which_role_would_do_and_how_to_give_it() {
    let asked = json!({ "verb": "delete", "kind": "po", "namespace": "shop", "user": "shop/default" });
    let no = ask(asked).await;
    assert!(!no.is_error, "a no is an answer: {}", no.text);
    let expected = "\
No: system:serviceaccount:shop:default may not delete pods in namespace shop.
With these, system:serviceaccount:shop:default may only get, list, watch.
Roles that would give it, the one that gives least first: ClusterRole edit, ClusterRole cluster-admin
To give it: kubectl -n shop create rolebinding NAME --clusterrole=edit --serviceaccount=shop:default
Others who may: Group platform
This follows from roles and bindings alone; the API server was not asked.
";
    assert_eq!(no.text, expected);
    let everywhere = ask(json!({ "verb": "get", "kind": "pods", "user": "shop/default" })).await;
    assert!(everywhere.text.contains("may not get pods in all namespaces at once"), "{}", everywhere.text);
    assert!(everywhere.text.contains("name a `namespace`"), "{}", everywhere.text);
    let tool = json!({ "verb": "call", "kind": "tools", "name": "get_logs", "namespace": "shop", "user": "shop/default" });
    let tool = ask(tool).await.text;
    assert!(
        tool.starts_with(
            "No: system:serviceaccount:shop:default may not call tools.pilothouse.dev `get_logs`"
        ),
        "{tool}"
    );
}

#[tokio::test]
async fn what_cannot_be_answered_is_said_with_the_way_on() {
    for (arguments, told) in [
        (json!({ "verb": "get", "kind": "pods" }), "say about whom with `user`"),
        (json!({ "verb": "get", "kind": "podz", "user": "ann" }), "pods"),
        (json!({ "verb": "exec", "kind": "pods", "user": "ann" }), "ask for `create` on `pods/exec`"),
        (json!({ "verb": "get", "kind": "pods", "groups": "a" }), "name one"),
        (json!({ "verb": "get" }), "needs `kind`"),
    ] {
        let answer = ask(arguments).await;
        assert!(answer.is_error && answer.text.contains(told), "{}", answer.text);
        assert_eq!(answer.text.trim_end().lines().count(), 1, "{}", answer.text);
    }
}
