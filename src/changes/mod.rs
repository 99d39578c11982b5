//! Change requests: an intended change becomes a pull request that a person merges, and is followed until the cluster
//! runs it. Nothing in the cluster is touched, and no model decides anything in here.
//!
//! [`request`] is the life of one: from an intent ([`understand`], [`climb`], [`identity`], [`patch`]) over the object's place
//! ([`source`]), the layer that decides ([`layers`], proven by [`render`]), the edit ([`documents`], [`path`],
//! [`edit`], [`reach`], [`scalar`], [`footprint`]) and what is asked of it before a person is ([`checks`]) to the pull
//! request ([`forge`]) and what becomes of it. README.md says which decisions were hard.

pub mod capture;
mod checks;
mod climb;
mod config;
mod diff;
mod documents;
mod edit;
#[cfg(test)]
mod edit_tests;
pub mod emergency;
mod ending;
mod fields;
mod fit;
mod footprint;
pub mod forge;
mod git;
mod identity;
mod kind;
mod layers;
mod manifest;
mod patch;
mod path;
mod process_group;
mod reach;
mod render;
mod request;
mod scalar;
mod schema;
mod shown;
mod source;
mod text;
mod understand;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{future::BoxFuture, stream::BoxStream};
use tokio_util::sync::CancellationToken;

use crate::{
    answer::Answer,
    api::{Span, change_request::ChangePhase},
    audit::Audit,
    caller::Caller,
    tools::{ChangeAccess, Changes, ClusterChecks, Outcomes, Proposal, Revision, SourceFinder, Steps},
};

use checks::policy::Policies;
pub use checks::policy::Policy;
pub use config::{
    ChangesConfig, ChartConfig, ConfigError, DryRunConfig, ForgeConfig, ForgeType, Repository,
    RepositoryConfig, ServiceAccountName,
};
pub use edit::edited;
use render::Renderers;
pub use render::RenderersConfig;
pub use request::{Alone, Counting, FolderError, Held, Lead, News, Shelf, ShelfError, Shelved, Uncounted};
use request::{Folder, Home, People, Room, State};

/// Why change requests cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] FolderError),
    #[error("the working folders in {path} cannot be cleared ({source}): check the folder given with --data")]
    Sweep { path: String, source: std::io::Error },
    #[error("changes.repositories in the configuration: {0}")]
    Forge(String),
}

/// How often an open change is looked after when the configuration does not say.
const LOOK: Duration = Duration::from_secs(30);

/// What change requests work with.
pub struct ChangeParts {
    pub config: ChangesConfig,
    /// Working folders are made in `data/changes/`, and requests kept there where there is no `shelf`.
    pub data: PathBuf,
    pub audit: Audit,
    /// Who sees and proposes what; absent: everybody everything.
    pub access: Option<Arc<dyn ChangeAccess>>,
    /// What objects and schemas are like; absent where there is no cluster.
    pub cluster: Option<Arc<dyn ClusterChecks>>,
    /// Says where live objects come from; absent: the repositories are searched.
    pub finder: Option<Arc<dyn SourceFinder>>,
    pub shelf: Option<Arc<dyn Shelf>>,
    /// How the objects are; absent where there is no cluster.
    pub outcomes: Option<Arc<dyn Outcomes>>,
    pub lead: Arc<dyn Lead>,
    pub counting: Arc<dyn Counting>,
    /// The namespace of requests whose object has none.
    pub own_namespace: String,
}

impl ChangeParts {
    /// Of a process alone, without a cluster: everybody sees and proposes everything.
    pub fn local(config: ChangesConfig, data: &Path, audit: Audit) -> Self {
        Self {
            config,
            data: data.to_owned(),
            audit,
            access: None,
            cluster: None,
            finder: None,
            shelf: None,
            outcomes: None,
            lead: Arc::new(Alone),
            counting: Arc::new(Uncounted),
            own_namespace: "default".to_owned(),
        }
    }
}

/// The change requests of this installation. Cheap to clone.
#[derive(Clone)]
pub struct ChangeRequests(Arc<Room>);

impl ChangeRequests {
    /// Keeps its requests and working folders in `data/changes/`; everybody sees all of them.
    ///
    /// # Errors
    /// When the configuration does not hold together, or the folder cannot be made.
    pub fn new(config: ChangesConfig, data: &Path, audit: Audit) -> Result<Self, SetupError> {
        Self::of(ChangeParts::local(config, data, audit))
    }

    /// As [`Self::new`], but `access` says who sees and proposes what, and `cluster` what the objects are like.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn guarded(
        config: ChangesConfig,
        data: &Path,
        audit: Audit,
        access: Arc<dyn ChangeAccess>,
        cluster: Option<Arc<dyn ClusterChecks>>,
    ) -> Result<Self, SetupError> {
        let local = ChangeParts::local(config, data, audit);
        Self::of(ChangeParts { access: Some(access), cluster, ..local })
    }

    /// # Errors
    /// When the configuration does not hold together, or the folder cannot be made.
    pub fn of(parts: ChangeParts) -> Result<Self, SetupError> {
        let ChangeParts {
            config,
            data,
            audit,
            access,
            cluster,
            finder,
            shelf,
            outcomes,
            lead,
            counting,
            own_namespace,
        } = parts;
        // The dry-run is the cluster's matter.
        let ChangesConfig { repositories, people, look, policies, dry_run: _, charts, renderers } = config;
        let policies = Policies::new(policies);
        let people = People::new(people);
        let every = look.map_or(LOOK, Span::duration);
        let work = data.join("changes");
        let folder = Folder::open(work.clone())?;
        git::sweep(&work).map_err(|source| SetupError::Sweep { path: work.display().to_string(), source })?;
        let renderers = Renderers::new(renderers, work.clone());
        let mut homes = Vec::new();
        for repository in config::check(repositories, charts)? {
            let forge =
                forge::connect(&repository, &work).map_err(|error| SetupError::Forge(error.to_string()))?;
            homes.push(Home { repository, forge });
        }
        let shelf = shelf.unwrap_or_else(|| Arc::new(folder));
        let state = State::default();
        Ok(Self(Arc::new(Room {
            homes,
            renderers,
            finder,
            shelf,
            audit,
            access,
            cluster,
            policies,
            outcomes,
            lead,
            counting,
            people,
            every,
            own_namespace,
            state,
        })))
    }

    /// Whether any repository is configured; without one the tools need not be listed.
    pub fn is_configured(&self) -> bool {
        !self.0.homes.is_empty()
    }

    /// Looks after open requests while this process leads, until `cancel`. Without a configured repository it only
    /// waits.
    pub async fn follow(self, cancel: CancellationToken) {
        if self.is_configured() { self.0.follow(cancel).await } else { cancel.cancelled().await }
    }

    /// How far a change is; nothing when there is none of that id.
    ///
    /// # Errors
    /// One sentence, when it cannot be read.
    pub async fn phase(&self, id: &str) -> Result<Option<ChangePhase>, String> {
        self.0.phase(id).await
    }

    /// A caller that hangs up must not stop a change half-way: it is done in a task of its own.
    async fn apart(work: impl Future<Output = Answer> + Send + 'static) -> Answer {
        let steps = Steps::here();
        match tokio::spawn(async move { steps.follow(work).await }).await {
            Ok(answer) => answer,
            Err(error) => Answer::error(format!(
                "The change was not finished ({error}): ask again, list_changes says how far it came."
            )),
        }
    }
}

impl Changes for ChangeRequests {
    fn propose<'a>(&'a self, caller: &'a Caller, proposal: Proposal) -> BoxFuture<'a, Answer> {
        let (room, caller) = (Arc::clone(&self.0), caller.clone());
        Box::pin(Self::apart(async move { room.propose(&caller, proposal).await }))
    }

    fn get<'a>(&'a self, caller: &'a Caller, id: &'a str) -> BoxFuture<'a, Answer> {
        Box::pin(self.0.get(caller, id))
    }

    fn list<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Answer> {
        Box::pin(self.0.list(caller))
    }

    fn updates<'a>(
        &'a self,
        caller: &'a Caller,
        id: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, ()>, String>> {
        Box::pin(Arc::clone(&self.0).updates(caller.clone(), id))
    }

    fn revise<'a>(&'a self, caller: &'a Caller, id: &'a str, revision: Revision) -> BoxFuture<'a, Answer> {
        let (room, caller, id) = (Arc::clone(&self.0), caller.clone(), id.to_owned());
        Box::pin(Self::apart(async move { room.revise(&caller, &id, revision).await }))
    }

    fn withdraw<'a>(
        &'a self,
        caller: &'a Caller,
        id: &'a str,
        reason: Option<&'a str>,
    ) -> BoxFuture<'a, Answer> {
        let (room, caller, id) = (Arc::clone(&self.0), caller.clone(), id.to_owned());
        let reason = reason.map(ToOwned::to_owned);
        Box::pin(Self::apart(async move { room.withdraw(&caller, &id, reason.as_deref()).await }))
    }
}
