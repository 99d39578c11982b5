//! The real External Secrets Operator on this machine, acting in one namespace of the cluster of `KUBECONFIG`, and a
//! store of its own kind for tests.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use super::kubectl;

/// Name of the store.
pub(crate) const STORE: &str = "vault";

/// It ends when this is dropped.
pub(crate) struct ExternalSecretsOperator {
    child: Child,
    folder: tempfile::TempDir,
}

impl ExternalSecretsOperator {
    /// The kinds that it serves must be there.
    pub(crate) fn start(namespace: &str) -> Self {
        let program = std::env::var_os("PARTS_EXTERNAL_SECRETS").expect(
            "PARTS_EXTERNAL_SECRETS must name the program: run `tests/run cluster`, which sets what `tests/cluster/harness/parts` prints",
        );
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a log");
        let cluster_wide = ["cluster-store", "cluster-external-secret", "cluster-push-secret", "push-secret"];
        let child = Command::new(program)
            .args(["--namespace", namespace, "--metrics-addr", "127.0.0.1:0"])
            .args(cluster_wide.map(|which| format!("--enable-{which}-reconciler=false")))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the External Secrets Operator can be started");
        Self { child, folder }
    }
}

impl Drop for ExternalSecretsOperator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            println!("the External Secrets Operator said:\n{log}");
        }
    }
}

/// What the store of the namespace holds from now on.
pub(crate) fn keep(namespace: &str, values: &[(&str, &str)]) {
    let data: Vec<Value> = values.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let store = json!({
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": STORE},
        "spec": {"provider": {"fake": {"data": data}}},
    });
    kubectl::apply_in(namespace, &store.to_string());
}
