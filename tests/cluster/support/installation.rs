//! pilothouse in the cluster, installed as the README says; shared by all tests that need it.

use std::{fs, path::Path, sync::OnceLock};

use super::kubectl;

/// The bearer token of the test installation.
pub(crate) const TOKEN: &str = "a-token-for-tests-only";

/// Installs pilothouse once and waits until both replicas are ready.
pub(crate) fn installed() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let image =
            std::env::var("PILOTHOUSE_IMAGE").unwrap_or_else(|_| "docker.io/pilothouse/pilothouse:test".to_owned());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut manifests = String::new();
        for file in ["crds/mcpservers.pilothouse.dev.yaml", "manifests/pilothouse.yaml"] {
            let text = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            manifests = format!("{manifests}\n---\n{text}");
        }
        let manifests = manifests.replace("docker.io/pilothouse/pilothouse:0.1.0", &image);
        // The Secret is the one thing that the manifests leave to the user.
        let secret = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: pilothouse}}\n---\napiVersion: v1\nkind: Secret\n\
             metadata: {{name: pilothouse-token, namespace: pilothouse}}\nstringData: {{token: {TOKEN}}}\n"
        );
        kubectl::apply(&secret);
        kubectl::apply(&manifests);
        // A binary of another build under the same image name must not be taken for this one.
        kubectl::run(&["-n", "pilothouse", "rollout", "restart", "statefulset/pilothouse"]);
        kubectl::run(&["-n", "pilothouse", "rollout", "status", "statefulset/pilothouse", "--timeout=180s"]);
    });
}
