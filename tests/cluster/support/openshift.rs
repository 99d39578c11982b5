//! OpenShift's kinds, in the cluster once.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use super::kubectl;

/// Runs `harness/openshift`: Route and ClusterOperator as OpenShift defines them, stand-ins for the others.
pub(crate) fn established() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/harness/openshift");
        let output = Command::new(script).output().expect("harness/openshift can be started");
        assert!(output.status.success(), "harness/openshift: {}", String::from_utf8_lossy(&output.stderr));
    });
}

/// `kubectl apply` of manifests with their status, for the kinds that have a status subresource.
pub(crate) fn apply_with_status(manifests: &str) {
    kubectl::apply(manifests);
    let mut child = kubectl::kubectl()
        .args(["apply", "--server-side", "--subresource=status", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("kubectl can be started");
    let mut stdin = child.stdin.take().expect("kubectl has a stdin");
    stdin.write_all(manifests.as_bytes()).expect("kubectl reads the manifests");
    drop(stdin);
    assert!(child.wait().expect("kubectl ends").success(), "the status is applied");
}
