//! OpenShift's kinds, in the cluster once.

use std::{path::Path, process::Command, sync::OnceLock};

/// Runs `harness/openshift`: Route and ClusterOperator as OpenShift defines them, stand-ins for the others.
pub(crate) fn established() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/harness/openshift");
        let output = Command::new(script).output().expect("harness/openshift can be started");
        assert!(output.status.success(), "harness/openshift: {}", String::from_utf8_lossy(&output.stderr));
    });
}
