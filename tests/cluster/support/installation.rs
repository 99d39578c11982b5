//! pilothouse in the cluster, installed as the README says; shared by all tests that need it.

use std::{fs, path::Path, sync::OnceLock};

use pilothouse::operator::with_webhook;

use super::{crd, kubectl};

/// The bearer token of the test installation.
pub(crate) const TOKEN: &str = "a-token-for-tests-only";

/// The label of namespaces whose objects the API server asks the installation about.
pub(crate) const ASKED: &str = "pilothouse.dev/test-asked";

/// Installs pilothouse once and waits until both replicas are ready.
pub(crate) fn installed() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        permissions();
        // The Secret is the one thing that the manifests leave to the user.
        kubectl::apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: pilothouse-token, namespace: pilothouse}}\n\
             stringData: {{token: {TOKEN}}}\n"
        ));
        let image = std::env::var("PILOTHOUSE_IMAGE")
            .unwrap_or_else(|_| "docker.io/pilothouse/pilothouse:test".to_owned());
        let manifests = with_webhook(&manifests(), &[]).expect("the manifests are whole");
        // The last document is the configuration of the webhook: other tests must not wait for its pods.
        let only = format!("  namespaceSelector: {{matchLabels: {{{ASKED}: 'yes'}}}}\n");
        let manifests = format!("{manifests}{only}");
        kubectl::apply(&manifests.replace("docker.io/pilothouse/pilothouse:0.1.0", &image));
        // A binary of another build under the same image name must not be taken for this one.
        kubectl::run(&["-n", "pilothouse", "rollout", "restart", "statefulset/pilothouse"]);
        kubectl::run(&["-n", "pilothouse", "rollout", "status", "statefulset/pilothouse", "--timeout=180s"]);
    });
}

/// Everything of the installation but its pods: the accounts, what they may do, and the admission policy.
pub(crate) fn permissions() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        crd::established();
        let manifests = manifests();
        let without_pods: Vec<&str> = manifests
            .split("\n---\n")
            .filter(|document| !document.contains("\nkind: StatefulSet\n"))
            .collect();
        kubectl::apply(&without_pods.join("\n---\n"));
    });
}

fn manifests() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/pilothouse.yaml");
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
