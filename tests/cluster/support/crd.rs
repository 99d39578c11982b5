//! The CRDs of this build, in the cluster once.

use std::{path::Path, sync::OnceLock};

use pilothouse::api::GROUP;

use super::kubectl;

/// Applies `crds/` and waits until the API server serves them.
pub(crate) fn established() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        kubectl::run(&["apply", "-f", &folder.to_string_lossy()]);
        let names = ["changerequests", "mcpservers", "mcppools", "datasources"]
            .map(|plural| format!("crd/{plural}.{GROUP}"));
        let mut wait = vec!["wait", "--for=condition=Established", "--timeout=30s"];
        wait.extend(names.iter().map(String::as_str));
        kubectl::run(&wait);
    });
}
