//! The certificate is made, shared and renewed, and nobody who asks notices.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{SOON, Stage};
use crate::support::{
    kubectl,
    own_operator::solo,
    wait::until,
    webhook::{Asked, Configured, Registered},
};

fn presented(namespace: &str) -> String {
    kubectl::run(&[
        "-n",
        namespace,
        "get",
        "secret",
        "pilothouse-webhook",
        "-o",
        "jsonpath={.data.tls\\.crt}",
    ])
}

#[tokio::test]
async fn it_is_renewed_while_questions_go_on_and_none_is_lost() {
    let stage =
        Stage::new("renewed", json!({"webhook": {"certificate": {"life": "30s", "names": ["127.0.0.1"]}}}))
            .await;
    let (mut seen, mut bundles, mut asked) = (BTreeSet::new(), BTreeSet::new(), 0);
    let begun = Instant::now();
    // A refusal by a certificate that is not trusted would be an error here: the policy on failures is Fail.
    while seen.len() < 3 {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "{} certificates: {}",
            seen.len(),
            stage.asked.said()
        );
        for _ in 0..5 {
            let probe = stage.manifest("MCPServer", "demo", "{image: 'a:1', replicas: 0}", "");
            stage.dry_run(&probe).unwrap_or_else(|said| panic!("a question was lost: {said}"));
            asked += 1;
        }
        seen.insert(presented(stage.namespace()));
        bundles.insert(stage.registered.bundle());
    }
    assert!(bundles.len() >= 3, "each has an authority of its own");
    assert!(asked >= 20, "{asked}");
}

#[tokio::test]
async fn two_replicas_share_it_and_one_goes_on_alone() {
    let scratch = solo("shared");
    let namespace = scratch.name();
    let operator = || {
        json!({"webhook": {
            "configuration": Registered::name(namespace),
            "certificate": {"names": ["127.0.0.1"]}}})
    };
    let names = [format!("{namespace}-a"), format!("{namespace}-b")];
    let [first, second] =
        names.each_ref().map(|name| Asked::start(Configured { namespace, name, operator: operator() }));
    let registered = Registered::new(namespace, &[&first.url, &second.url], "Fail");
    let probe = format!(
        "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: demo, namespace: {namespace}}}\n\
         spec: {{image: 'a:1', replicas: 0}}\n"
    );
    let ask = || kubectl::ask(&["apply", "--dry-run=server", "-f", "-"], &probe);
    until("both answer", SOON, || async { ask().is_ok().then_some(()) }).await;
    let before = presented(namespace);
    drop(first);
    let refused = ask().expect_err("one of the two is not there");
    assert!(refused.contains("failed calling webhook"), "{refused}");
    drop(registered);
    let _registered = Registered::new(namespace, &[&second.url], "Fail");
    until("the other answers alone", SOON, || async { ask().is_ok().then_some(()) }).await;
    assert_eq!(presented(namespace), before, "nothing is made anew for another leader");
}

/// Only a change of what is checked is asked about.
#[tokio::test]
async fn what_changes_no_spec_is_stored_without_a_question() {
    let mut stage = Stage::new("unasked", json!({"webhook": {}})).await;
    let namespace = stage.namespace().to_owned();
    let demo =
        |image: &str| stage.manifest("MCPServer", "demo", &format!("{{image: '{image}', replicas: 0}}"), "");
    let (one, two) = (demo("a:1"), demo("a:2"));
    kubectl::apply(&one);
    stage.asked.kill();
    let refused = stage.dry_run(&two).expect_err("nobody answers");
    assert!(refused.contains("failed calling webhook \"validate.pilothouse.dev\""), "{refused}");
    kubectl::run(&["-n", &namespace, "annotate", "mcpserver/demo", "a/b=c"]);
    let status = "{\"status\": {\"phase\": \"Failed\"}}";
    kubectl::run(&[
        "-n",
        &namespace,
        "patch",
        "mcpserver/demo",
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    ]);
    kubectl::run(&["-n", &namespace, "delete", "mcpserver/demo", "--wait=false"]);
}
