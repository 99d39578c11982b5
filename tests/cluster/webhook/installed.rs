//! The webhook of an installation: the API server reaches it through its Service and trusts the certificate that
//! pilothouse made itself.

use std::time::Duration;

use crate::support::{
    installation::{ASKED, installed},
    kubectl,
    namespace::Scratch,
    wait::until,
};

/// Pods start, a certificate is made, mounted nowhere and told to the API server, which reads its configuration again.
const SOON: Duration = Duration::from_secs(120);

#[tokio::test]
async fn an_installation_is_asked_through_its_service() {
    installed();
    let scratch = Scratch::new("installed");
    let namespace = scratch.name();
    kubectl::run(&["label", "namespace", namespace, &format!("{ASKED}=yes")]);
    let dry_run = |env: &str| {
        let manifest = format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: demo, namespace: {namespace}}}\n\
             spec: {{image: 'docker.io/pilothouse-test/busybox:1', env: [{{name: {env}, value: x}}], \
             secrets: [{{env: B, secretKeyRef: {{name: b, key: b}}}}]}}\n"
        );
        kubectl::ask(&["apply", "--dry-run=server", "-f", "-"], &manifest)
    };
    let refused = until("the Service answers", SOON, || async { dry_run("B").err() }).await;
    let expected =
        "spec.secrets[0].env: Duplicate value: \"B\": spec.env sets this variable too: remove one of them";
    assert!(refused.contains(expected), "{refused}");
    let taken = dry_run("A").expect("what breaks nothing is taken");
    assert!(taken.contains("created"), "{taken}");
}
