//! The kinds of other operators that a cluster may have or not.

use std::{path::Path, process::Command};

use tokio::sync::{Mutex, MutexGuard};

/// Tests that look at these kinds run one after the other: a definition is there for all or for none.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Whoever holds it may make ExternalSecret and ServiceMonitor known, as their projects define them. Gone again
/// when it is dropped.
pub(crate) struct OperatorCrds {
    _alone: MutexGuard<'static, ()>,
}

impl OperatorCrds {
    /// They are not there.
    pub(crate) async fn absent() -> Self {
        let alone = ALONE.lock().await;
        script(&["--remove"]).expect("the definitions can be removed");
        Self { _alone: alone }
    }

    pub(crate) async fn present() -> Self {
        let crds = Self::absent().await;
        crds.install();
        crds
    }

    /// With those of the stores, which the External Secrets Operator needs to run.
    pub(crate) async fn with_stores() -> Self {
        let crds = Self::absent().await;
        script(&["--stores"]).expect("the definitions can be installed");
        crds
    }

    pub(crate) fn install(&self) {
        script(&[]).expect("the definitions can be installed");
    }

    pub(crate) fn remove(&self) {
        script(&["--remove"]).expect("the definitions can be removed");
    }
}

impl Drop for OperatorCrds {
    fn drop(&mut self) {
        if let Err(error) = script(&["--remove"]) {
            println!("left in the cluster: {error}");
        }
    }
}

fn script(arguments: &[&str]) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/harness/operator-crds");
    let output = Command::new(script).args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("operator-crds {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
}
