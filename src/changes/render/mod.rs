//! What kustomize and Helm make of a repository's files: the real programs, run on a private copy.
//!
//! [`workspace`] holds the copy, [`process`] runs a program without network, plugins, settings or our environment,
//! [`objects`] reads what it wrote.

mod bench;
mod config;
mod objects;
mod process;
mod program;
mod workspace;

use std::{path::PathBuf, sync::Arc};

use serde_json::Value;
use tokio::sync::Semaphore;

pub(in crate::changes) use bench::Bench;
pub use config::RenderersConfig;
pub(in crate::changes) use objects::{Key, differing};
use process::{Run, RunError};
use program::Program;
use workspace::Workspace;

/// The configured renderers. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::changes) struct Renderers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kustomize: Program,
    helm: Program,
    /// For private copies of repositories.
    work: PathBuf,
    /// Renderings take a processor each.
    turns: Semaphore,
}

const AT_ONCE: usize = 2;

/// Why nothing was rendered; a sentence without its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::changes) enum RenderError {
    #[error(
        "no {what} was found: install {known}, or name the command under changes.renderers.{what} in the configuration"
    )]
    NoProgram { what: &'static str, known: &'static str },
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("what {by} wrote cannot be read: {reason}")]
    Output { by: &'static str, reason: String },
    #[error("the private folder for rendering cannot be used ({0}): check the folder given with --data")]
    Folder(#[from] std::io::Error),
}

/// One release as Helm is asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes) struct HelmCall {
    /// The chart's folder in the repository.
    pub(in crate::changes) chart: String,
    pub(in crate::changes) release: String,
    pub(in crate::changes) namespace: String,
    /// Files of the workspace; a later one wins.
    pub(in crate::changes) values: Vec<String>,
}

impl Renderers {
    /// Private copies are made in `work`.
    pub(in crate::changes) fn new(config: RenderersConfig, work: PathBuf) -> Self {
        let RenderersConfig { kustomize, helm } = config;
        Self(Arc::new(Inner {
            kustomize: Program::kustomize(kustomize),
            helm: Program::helm(helm),
            work,
            turns: Semaphore::new(AT_ONCE),
        }))
    }

    /// An empty private copy to render in.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub(in crate::changes) fn bench(&self) -> Result<Bench, RenderError> {
        Ok(Bench::new(self.clone(), Workspace::new(&self.0.work)?))
    }

    async fn run(
        &self,
        program: &Program,
        workspace: &Workspace,
        arguments: Vec<std::ffi::OsString>,
    ) -> Result<Vec<Value>, RenderError> {
        let (file, before) = program.command()?;
        // Closed never; without a turn the rendering would only be slower.
        let _turn = self.0.turns.acquire().await.ok();
        let arguments = before.into_iter().map(Into::into).chain(arguments).collect();
        let out = Run { name: program.name(), file: &file, arguments, workspace }.output().await?;
        let name = program.name();
        // Large outputs take a while to be read.
        tokio::task::spawn_blocking(move || objects::read(&out))
            .await
            .map_err(|error| RenderError::Output { by: name, reason: error.to_string() })?
            .map_err(|reason| RenderError::Output { by: name, reason })
    }
}
