//! The CRDs of this build, in the cluster once.

use std::{path::Path, sync::OnceLock};

use super::kubectl;

/// Applies `crds/` and waits until the API server serves them.
pub(crate) fn established() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/mcpservers.pilothouse.dev.yaml");
        kubectl::run(&["apply", "-f", &file.to_string_lossy()]);
        let crd = "crd/mcpservers.pilothouse.dev";
        kubectl::run(&["wait", crd, "--for=condition=Established", "--timeout=30s"]);
    });
}
