//! `check_access` on a recorded cluster: roles and bindings decide. No cluster is needed.

use std::path::Path;

use pilothouse::{
    answer::{Answer, Budget, Sealer},
    caller::Caller,
    cluster::{Contexts, recorded},
    tools::{Parts, standard},
};
use serde_json::{Value, json, value::to_raw_value};

async fn ask(arguments: Value) -> Answer {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/snapshots/broken-shop");
    let tools = standard(Parts {
        contexts: Contexts::one(recorded::open(&dir).unwrap().reader),
        fleet: None,
        changes: None,
        metrics: None,
        budget: Budget::DEFAULT,
        sealer: Sealer::random().unwrap(),
    });
    let arguments = to_raw_value(&arguments).unwrap();
    tools.get("check_access").unwrap().call(&Caller::process(), Some(&arguments)).await
}

#[tokio::test]
async fn a_yes_names_the_binding_and_a_no_the_role_that_is_missing() {
    let scheduler = "system:kube-scheduler";
    let yes = ask(json!({ "verb": "list", "kind": "pods", "namespace": "shop", "user": scheduler })).await;
    assert!(
        yes.text.starts_with("Yes: system:kube-scheduler may list pods in namespace shop."),
        "{}",
        yes.text
    );
    assert!(yes.text.contains("ClusterRoleBinding system:kube-scheduler"), "{}", yes.text);
    assert_eq!(yes.structured.unwrap()["allowed"], true);

    let no =
        ask(json!({ "verb": "delete", "kind": "po", "namespace": "shop", "user": "shop/default" })).await;
    let text = &no.text;
    assert!(!no.is_error, "a no is an answer: {text}");
    assert!(text.starts_with("No: system:serviceaccount:shop:default may not delete pods"), "{text}");
    assert!(text.contains("ClusterRole edit"), "{text}");
    let command = "kubectl -n shop create rolebinding NAME --clusterrole=edit --serviceaccount=shop:default";
    assert!(text.contains(command), "{text}");
    assert!(text.contains("the API server was not asked"), "{text}");
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
