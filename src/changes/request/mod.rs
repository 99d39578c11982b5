//! The life of a change request: written down, put into the repository, followed until the cluster runs it.
//!
//! [`life`] decides, as plain functions, what a state and a look at the world make of it; [`approval`], [`delivery`] and
//! [`pace`] are its parts. [`shelf`] is where requests are kept, [`folder`] keeps them without a cluster. [`carry`]
//! takes one from an intent to a pull request, in an order that a crash may interrupt anywhere; [`propose`],
//! [`revise`] and [`withdraw`] are what callers ask for, [`follow`] is what happens by itself, [`seen`] what is
//! shown. [`together`] takes what an emergency left behind in many objects into one pull request. README.md says why
//! the order is so.

mod admission;
mod approval;
mod askers;
mod branch;
mod carried;
mod carry;
mod conditions;
mod delivery;
mod draft;
mod folder;
mod follow;
mod health;
mod keeping;
mod legacy;
mod life;
mod look;
mod pace;
mod problem;
mod progress;
mod propose;
mod revise;
mod seen;
mod shelf;
mod spec;
mod story;
pub(in crate::changes) mod together;
mod told;
mod turns;
mod updates;
mod withdraw;
mod words;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

pub(in crate::changes) use approval::People;
pub(in crate::changes) use folder::Folder;
pub use folder::FolderError;
pub use keeping::{Counting, Uncounted};
pub use shelf::{Held, News, Shelf, ShelfError, Shelved};

use super::{checks::policy::Policies, config::Repository, forge::Forge, render::Renderers};
use crate::{
    api::{
        ChangeRequest, ChangeRequestStatus,
        change_request::{ChangePhase, ChangeTarget},
    },
    audit::Audit,
    tools::{ChangeAccess, ClusterChecks, Outcomes, SourceFinder},
};
use turns::Turns;

/// Whether this process may do what only one of all replicas does.
pub trait Lead: Send + Sync {
    fn leads(&self) -> bool;
}

/// A process that has nobody beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Lead for Alone {
    fn leads(&self) -> bool {
        true
    }
}

/// Everything that requests are worked on with.
pub(super) struct Room {
    pub(super) homes: Vec<Home>,
    pub(super) renderers: Renderers,
    /// Absent: the repositories are searched.
    pub(super) finder: Option<Arc<dyn SourceFinder>>,
    pub(super) shelf: Arc<dyn Shelf>,
    pub(super) audit: Audit,
    /// Absent: everybody sees and proposes everything.
    pub(super) access: Option<Arc<dyn ChangeAccess>>,
    /// Absent: nothing is read of a cluster before a change is proposed.
    pub(super) cluster: Option<Arc<dyn ClusterChecks>>,
    pub(super) policies: Policies,
    /// Absent where there is no cluster: a merged change is then followed no further.
    pub(super) outcomes: Option<Arc<dyn Outcomes>>,
    pub(super) lead: Arc<dyn Lead>,
    pub(super) counting: Arc<dyn Counting>,
    pub(super) people: People,
    /// How often an open request is looked after.
    pub(super) every: Duration,
    /// Where requests stand whose object has no namespace.
    pub(super) own_namespace: String,
    pub(super) state: State,
}

/// What a process remembers of its work; nothing of it must outlive it.
#[derive(Default)]
pub(super) struct State {
    turns: Turns,
    /// Held while the open requests of a repository are counted and one is added.
    admission: tokio::sync::Mutex<()>,
    looked: Mutex<HashMap<String, Instant>>,
}

/// A configured repository at its forge.
pub(super) struct Home {
    pub(super) repository: Repository,
    pub(super) forge: Arc<dyn Forge>,
}

impl Room {
    /// The namespace that a request of this object stands in.
    fn place_of<'a>(&'a self, target: &'a ChangeTarget) -> &'a str {
        let beside = target.namespace.as_deref().filter(|namespace| self.shelf.reaches(namespace));
        beside.unwrap_or(&self.own_namespace)
    }

    fn home(&self, name: &str) -> Option<&Home> {
        self.homes.iter().find(|home| home.repository.name == name)
    }

    /// # Errors
    /// One sentence, when it cannot be read.
    pub(super) async fn phase(&self, id: &str) -> Result<Option<ChangePhase>, String> {
        let found = self.shelf.get(id).await.map_err(|error| error.to_string())?;
        Ok(found.map(|request| life::phase(&status(&request))))
    }
}

/// Branches of ours begin so.
const BRANCHES: &str = "pilothouse/";

fn branch_of(id: &str) -> String {
    format!("{BRANCHES}{id}")
}

fn id(request: &ChangeRequest) -> &str {
    request.metadata.name.as_deref().unwrap_or_default()
}

/// The status as far as it is known.
fn status(request: &ChangeRequest) -> ChangeRequestStatus {
    request.status.clone().unwrap_or_default()
}

#[cfg(test)]
pub(super) fn sample(id: &str) -> ChangeRequest {
    use crate::api::{
        ChangeRequestSpec,
        change_request::{ChangeTarget, FieldEdit},
    };
    let spec = ChangeRequestSpec {
        target: ChangeTarget {
            kind: "Deployment".into(),
            group: None,
            namespace: Some("shop".into()),
            name: "web".into(),
        },
        edits: vec![FieldEdit { path: "spec.replicas".into(), new: Some(serde_json::json!(3)) }],
        whole: None,
        reason: "Too few.".into(),
        evidence: Vec::new(),
        requested_by: "ann".into(),
        repository: Some("deploy".into()),
        emergency: None,
        revises: None,
    };
    ChangeRequest::new(id, spec)
}
