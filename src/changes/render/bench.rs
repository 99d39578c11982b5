//! One private copy of a repository with the programs that render it.

use std::ffi::OsString;

use serde_json::Value;
use tokio::sync::Mutex;

use super::{HelmCall, RenderError, Renderers, workspace::Workspace};
use crate::changes::source::Files;

/// Renders one after the other, since all of it is in one copy.
#[derive(Debug)]
pub(in crate::changes) struct Bench {
    renderers: Renderers,
    workspace: Mutex<Workspace>,
}

impl Bench {
    pub(super) fn new(renderers: Renderers, workspace: Workspace) -> Self {
        Self { renderers, workspace: Mutex::new(workspace) }
    }

    /// The objects of a kustomization's folder.
    ///
    /// # Errors
    /// When kustomize is not there, refuses, or takes too long.
    pub(in crate::changes) async fn kustomize(
        &self,
        files: &Files,
        folder: &str,
    ) -> Result<Vec<Value>, RenderError> {
        let mut workspace = self.workspace.lock().await;
        workspace.hold(files)?;
        let arguments = vec![workspace.path(folder).into_os_string()];
        self.renderers.run(&self.renderers.0.kustomize, &workspace, arguments).await
    }

    /// The objects of a release, without those of tests.
    ///
    /// # Errors
    /// As [`Self::kustomize`].
    pub(in crate::changes) async fn helm(
        &self,
        files: &Files,
        call: &HelmCall,
    ) -> Result<Vec<Value>, RenderError> {
        let mut workspace = self.workspace.lock().await;
        workspace.hold(files)?;
        let HelmCall { chart, release, namespace, values } = call;
        let mut arguments: Vec<OsString> =
            ["template", "--namespace", namespace, "--skip-tests"].map(Into::into).into();
        for file in values {
            arguments.extend(["--values".into(), workspace.path(file).into_os_string()]);
        }
        // Behind the dashes nothing is taken for an option.
        arguments.extend(["--".into(), release.into(), workspace.path(chart).into_os_string()]);
        self.renderers.run(&self.renderers.0.helm, &workspace, arguments).await
    }

    /// `kustomize v5.7.1`, as it says itself; the bare name where it does not.
    pub(in crate::changes) async fn kustomize_version(&self) -> String {
        self.renderers.0.kustomize.version(&*self.workspace.lock().await).await
    }

    pub(in crate::changes) async fn helm_version(&self) -> String {
        self.renderers.0.helm.version(&*self.workspace.lock().await).await
    }
}
