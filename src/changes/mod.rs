//! Change requests: an intended change becomes a commit on a branch that a person merges. Nothing in the cluster
//! is touched, and no model decides anything in here.
//!
//! [`propose`] is the way from an intent ([`identity`]) over the document ([`source`], [`documents`]) and the edit
//! ([`path`], [`edit`], [`reach`], [`scalar`], [`footprint`]) to the pushed branch ([`git`]); [`record`] keeps what
//! was proposed, [`message`] says it. README.md says which decisions were hard.

pub mod capture;
mod config;
mod diff;
mod documents;
mod edit;
#[cfg(test)]
mod edit_tests;
mod fit;
mod footprint;
#[allow(dead_code, reason = "what changes are proposed through next")]
mod forge;
mod git;
mod identity;
mod kind;
mod message;
mod path;
mod propose;
mod reach;
mod record;
mod scalar;
mod shown;
mod source;
mod standing;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures::future::BoxFuture;
use tokio::sync::Mutex;

use crate::{
    answer::Answer,
    audit::{Audit, Line},
    caller::Caller,
    redact,
    tools::{ChangeAccess, Changes, Proposal},
};

use config::Repository;
pub use config::{ChangesConfig, ConfigError, RepositoryConfig};
use identity::{Intent, Target};
use propose::{Desk, Problem};
pub use record::StoreError;
use record::{Record, Store};
use standing::Standing;

/// Why change requests cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the working folders in {path} cannot be cleared ({source}): check the folder given with --data")]
    Sweep { path: String, source: std::io::Error },
}

/// The change requests of this installation. Cheap to clone.
#[derive(Clone)]
pub struct ChangeRequests(Arc<Room>);

struct Room {
    repositories: Vec<Place>,
    store: Store,
    audit: Audit,
    /// Absent: everybody sees and proposes everything.
    access: Option<Arc<dyn ChangeAccess>>,
}

struct Place {
    repository: Repository,
    /// One change at a time, so that the same one asked twice at once is pushed once.
    turn: Mutex<()>,
}

impl ChangeRequests {
    /// Keeps its records and working folders in `data/changes/`; everybody sees all of them.
    ///
    /// # Errors
    /// When the configuration does not hold together, or the folder cannot be made.
    pub fn new(config: ChangesConfig, data: &Path, audit: Audit) -> Result<Self, SetupError> {
        Self::made(config, data, audit, None)
    }

    /// As [`Self::new`], but `access` says who sees and proposes what.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn guarded(
        config: ChangesConfig,
        data: &Path,
        audit: Audit,
        access: Arc<dyn ChangeAccess>,
    ) -> Result<Self, SetupError> {
        Self::made(config, data, audit, Some(access))
    }

    fn made(
        config: ChangesConfig,
        data: &Path,
        audit: Audit,
        access: Option<Arc<dyn ChangeAccess>>,
    ) -> Result<Self, SetupError> {
        let repositories = config::check(config)?
            .into_iter()
            .map(|repository| Place { repository, turn: Mutex::new(()) })
            .collect();
        let store = Store::open(data.join("changes"))?;
        git::sweep(store.folder())
            .map_err(|source| SetupError::Sweep { path: store.folder().display().to_string(), source })?;
        Ok(Self(Arc::new(Room { repositories, store, audit, access })))
    }

    /// Whether any repository is configured; without one the tools need not be listed.
    pub fn is_configured(&self) -> bool {
        !self.0.repositories.is_empty()
    }
}

impl Changes for ChangeRequests {
    fn propose<'a>(&'a self, caller: &'a Caller, proposal: Proposal) -> BoxFuture<'a, Answer> {
        let (room, caller) = (Arc::clone(&self.0), caller.clone());
        Box::pin(async move {
            // A task of its own: a caller that hangs up must not stop a push half-way.
            match tokio::spawn(async move { room.propose(&caller, proposal).await }).await {
                Ok(answer) => answer,
                Err(error) => Answer::error(format!(
                    "The change was not finished ({error}): ask again, list_changes says how far it came."
                )),
            }
        })
    }

    fn get<'a>(&'a self, caller: &'a Caller, id: &'a str) -> BoxFuture<'a, Answer> {
        Box::pin(async move { self.0.get(caller, id).await.unwrap_or_else(Answer::error) })
    }

    fn list<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Answer> {
        Box::pin(async move { self.0.list(caller).await.unwrap_or_else(Answer::error) })
    }
}

impl Room {
    async fn propose(&self, caller: &Caller, proposal: Proposal) -> Answer {
        let asked =
            format!("{} {}/{}", proposal.kind, proposal.namespace.as_deref().unwrap_or("-"), proposal.name);
        let problem = match self.try_propose(caller, proposal).await {
            Ok(answer) => return answer,
            // What a parser or git quotes may be a secret.
            Err(problem) => redact::text(&problem.to_string()).into_owned(),
        };
        let line = Line::now(caller, "change/propose", &identity::clean(&asked), "refused")
            .with("reason", problem.as_str());
        if let Err(error) = self.audit.queue(line) {
            tracing::error!(%error, "a refused change is not in the audit record");
        }
        Answer::error(format!("Nothing was proposed: {problem}."))
    }

    async fn try_propose(&self, caller: &Caller, proposal: Proposal) -> Result<Answer, Problem> {
        if let Some(access) = &self.access {
            access.sees_object(caller, &proposal).await.map_err(Problem::Asked)?;
        }
        let (intent, wanted) = Intent::parse(proposal).map_err(Problem::Asked)?;
        let desk = Desk { store: &self.store, audit: &self.audit, work: self.store.folder() };
        let place = self.choose(&desk, &intent.target, wanted.as_deref()).await?;
        let _turn = place.turn.lock().await;
        propose::run(&desk, &place.repository, &intent, caller).await
    }

    /// The repository that was named, the only one, or the only one that holds the object.
    async fn choose(
        &self,
        desk: &Desk<'_>,
        target: &Target,
        wanted: Option<&str>,
    ) -> Result<&Place, Problem> {
        let names = || {
            self.repositories
                .iter()
                .map(|place| place.repository.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let places = match (wanted, self.repositories.as_slice()) {
            (_, []) => {
                return Err(Problem::Asked(
                    "no repository is configured: add one under changes.repositories in the configuration"
                        .to_owned(),
                ));
            }
            (Some(wanted), places) => {
                return places.iter().find(|place| place.repository.name == wanted).ok_or_else(|| {
                    Problem::Asked(format!("there is no repository {wanted:?}; configured are {}", names()))
                });
            }
            (None, [only]) => return Ok(only),
            (None, places) => places,
        };
        let mut holding = Vec::new();
        for place in places {
            // One that cannot be searched might hold it too: then the choice would be a guess.
            if propose::holds(desk, &place.repository, target).await? {
                holding.push(place);
            }
        }
        match holding.as_slice() {
            [only] => Ok(only),
            [] => Err(Problem::Asked(format!(
                "{target} is in none of the repositories {}; name one with repository to see what was searched there",
                names()
            ))),
            several => {
                let several: Vec<_> = several.iter().map(|place| place.repository.name.as_str()).collect();
                Err(Problem::Asked(format!(
                    "{target} stands in several repositories ({}): name one with repository",
                    several.join(", ")
                )))
            }
        }
    }

    async fn standings(&self, records: &[Record]) -> Vec<Standing> {
        let repositories: Vec<_> = self.repositories.iter().map(|place| &place.repository).collect();
        standing::of(records, &repositories, self.store.folder()).await
    }

    /// Those of these records that this caller may see: one's own, and others' where the access rules say so.
    ///
    /// # Errors
    /// One sentence, when it cannot be found out.
    async fn seen(&self, caller: &Caller, records: Vec<Record>) -> Result<Vec<Record>, String> {
        let Some(access) = &self.access else { return Ok(records) };
        let mut known: BTreeMap<Option<String>, bool> = BTreeMap::new();
        let mut seen = Vec::new();
        for record in records {
            let namespace = record.namespace();
            let is_seen = match known.get(&namespace.map(str::to_owned)) {
                _ if record.requested_by == caller.user => true,
                Some(known) => *known,
                None => {
                    let answer = access.sees_others(caller, namespace).await?;
                    known.insert(namespace.map(str::to_owned), answer);
                    answer
                }
            };
            if is_seen {
                seen.push(record);
            }
        }
        Ok(seen)
    }

    async fn list(&self, caller: &Caller) -> Result<Answer, String> {
        let (records, broken) = self.store.list().map_err(|error| sentence(&error))?;
        let records = self.seen(caller, records).await?;
        let listed = &records[..records.len().min(message::LISTED)];
        Ok(message::list(listed, &self.standings(listed).await, records.len(), &broken))
    }

    /// # Errors
    /// One sentence; the same for a change that this caller may not see and for one that is not there.
    async fn get(&self, caller: &Caller, id: &str) -> Result<Answer, String> {
        let found = self.store.get(id).map_err(|error| sentence(&error))?;
        if let Some(record) = self.seen(caller, found.into_iter().collect()).await?.pop() {
            let standings = self.standings(std::slice::from_ref(&record)).await;
            let standing = standings.first().ok_or("The change was not looked at: ask again.")?;
            return Ok(message::one(&record, standing));
        }
        let records = self.store.list().map(|(records, _)| records).unwrap_or_default();
        let known = self.seen(caller, records).await?;
        let known: Vec<_> = known.iter().take(5).map(|record| record.id.as_str()).collect();
        Err(match known.as_slice() {
            [] => format!("There is no change {id:?}: none has been proposed yet."),
            known => {
                format!(
                    "There is no change {id:?}; the newest are {}. list_changes shows all.",
                    known.join(", ")
                )
            }
        })
    }
}

fn sentence(error: &StoreError) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    characters
        .next()
        .map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), characters.as_str()))
}
