//! Several contexts of one kubeconfig, read at once: each call reads its own.
#![allow(clippy::expect_used)]

use std::process::Stdio;

use pilothouse::{
    answer::{Budget, Sealer},
    caller::Caller,
    cluster::{ConnectOptions, connect},
    tools::{Parts, standard},
};
use serde_json::{Value, json, value::to_raw_value};

use crate::support::{client, kubectl, namespace::Scratch};

#[tokio::test]
async fn calls_of_two_contexts_run_side_by_side() {
    client::admin().await;
    let space = Scratch::new("contexts");
    kubectl::run(&["create", "configmap", "settings", "-n", space.name()]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config").display().to_string();
    let config = kubectl::run(&["config", "view", "--raw", "--flatten", "-o", "json"]);
    std::fs::write(&file, config).expect("the kubeconfig is written");
    let edit = |arguments: &[&str]| {
        let status =
            kubectl::kubectl().env("KUBECONFIG", &file).args(arguments).stdout(Stdio::null()).status();
        assert!(status.expect("kubectl can be started").success(), "{arguments:?}");
    };
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("the kubeconfig")).expect("JSON");
    let context = &config["contexts"][0]["context"];
    let (cluster, user) =
        (context["cluster"].as_str().expect("a name"), context["user"].as_str().expect("a name"));
    // The second one is somebody who may see nothing.
    edit(&["config", "set-credentials", "stranger", "--token=nobody-knows-this-token"]);
    edit(&["config", "set-context", "first", "--cluster", cluster, "--user", user]);
    edit(&["config", "set-context", "second", "--cluster", cluster, "--user", "stranger"]);
    edit(&["config", "use-context", "first"]);

    let options = ConnectOptions { kubeconfig: Some(file.into()), context: None };
    let contexts = connect(&options).await.expect("a kubeconfig").contexts;
    let sealer = Sealer::random().expect("random bytes");
    let tools = standard(Parts {
        contexts,
        fleet: None,
        changes: None,
        leader: None,
        metrics: None,
        budget: Budget::DEFAULT,
        sealer,
    });
    let tool = tools.get("list_resources").expect("a tool of ours");
    let caller = Caller::process();
    let ask = async |context: &str| {
        let arguments = json!({ "kind": "configmaps", "namespace": space.name(), "context": context });
        tool.call(&caller, Some(&to_raw_value(&arguments).expect("JSON"))).await
    };
    for _ in 0..5 {
        let (first, second, again) = tokio::join!(ask("first"), ask("second"), ask("first"));
        assert!(!first.is_error && first.text.contains("settings"), "{}", first.text);
        assert_eq!(first.text.lines().count(), again.text.lines().count());
        assert!(
            second.is_error && second.text.contains("does not accept our credentials"),
            "{}",
            second.text
        );
    }
    let wrong = ask("third").await;
    assert!(wrong.is_error && wrong.text.contains("use one of "), "{}", wrong.text);
}
