//! A namespace of a test's own.

use std::process::Stdio;

use super::kubectl;

/// A namespace with a unique name; deleted when dropped.
pub(crate) struct Scratch(String);

impl Scratch {
    pub(crate) fn new(purpose: &str) -> Self {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("test-{purpose}-{}", &unique[..8]);
        kubectl::run(&["create", "namespace", &name]);
        Self(name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Not waited for: the next test has another name. A failure leaves a namespace, which `down` removes.
        let _ = kubectl::kubectl()
            .args(["delete", "namespace", &self.0, "--wait=false"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}
