//! What emergencies need of other rooms, as traits; `app` plugs the rooms in.

use futures::future::BoxFuture;
use serde_json::Value;

use crate::{
    api::emergency_change::{EmergencyChange, EmergencyTarget},
    caller::Caller,
    tools::Proposal,
};

/// Where the records are kept. Each has the version it was read in; a write of an older one is refused.
pub trait Records: Send + Sync {
    /// All that can be read.
    ///
    /// # Errors
    /// One sentence.
    fn list(&self) -> BoxFuture<'_, Result<Vec<EmergencyChange>, String>>;

    /// Makes it, with its status.
    ///
    /// # Errors
    /// As [`RecordError`].
    fn create(&self, change: EmergencyChange) -> BoxFuture<'_, Result<EmergencyChange, RecordError>>;

    /// Keeps another status of the one that was read.
    ///
    /// # Errors
    /// As [`RecordError`].
    fn update(&self, change: EmergencyChange) -> BoxFuture<'_, Result<EmergencyChange, RecordError>>;

    /// Tells people about one, where there is a place to.
    fn tell<'a>(
        &'a self,
        about: &'a EmergencyChange,
        is_warning: bool,
        reason: &'static str,
        note: String,
    ) -> BoxFuture<'a, ()>;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It was changed since it was read, or it is there already: read it again.
    #[error("the record was changed meanwhile: ask again")]
    Outdated,
    /// One sentence.
    #[error("{0}")]
    Failed(String),
}

/// Looks at the cluster. Stores nothing.
pub trait Eyes: Send + Sync {
    /// The object as it is, none when it is not there; as the caller, or as pilothouse's own reader.
    ///
    /// # Errors
    /// One sentence.
    fn object<'a>(
        &'a self,
        caller: Option<&'a Caller>,
        target: &'a EmergencyTarget,
    ) -> BoxFuture<'a, Result<Option<Value>, String>>;

    /// Whether this caller may see the records of others.
    ///
    /// # Errors
    /// One sentence, when it cannot be found out.
    fn may_see_records<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Result<bool, String>>;

    /// Everything that applies others from Git: Applications, Kustomizations and HelmReleases, each with its kind.
    ///
    /// # Errors
    /// One sentence, when what is there cannot be read.
    fn appliers<'a>(&'a self, caller: Option<&'a Caller>) -> BoxFuture<'a, Result<Vec<Value>, String>>;
}

/// Acts in the cluster as the caller, with nobody's rights but the caller's.
pub trait Hands: Send + Sync {
    /// Patches an object by a JSON patch; rehearsed, nothing is stored. Returns the object as it is then.
    ///
    /// # Errors
    /// One sentence: what the API server refused, and to whom.
    fn patch<'a>(
        &'a self,
        caller: &'a Caller,
        target: &'a EmergencyTarget,
        operations: &'a [Value],
        rehearse: bool,
    ) -> BoxFuture<'a, Result<Value, String>>;
}

/// Brings what was changed back to Git.
pub trait Reconciling: Send + Sync {
    /// Proposes what an emergency left behind, labelled `emergency-reconcile` and linked to it.
    ///
    /// # Errors
    /// One sentence; the same may work later.
    fn propose<'a>(
        &'a self,
        emergency: &'a str,
        proposal: Proposal,
    ) -> BoxFuture<'a, Result<Proposed, String>>;

    /// What became of it.
    ///
    /// # Errors
    /// One sentence, when it cannot be found out now.
    fn standing<'a>(&'a self, change: &'a str) -> BoxFuture<'a, Result<ChangeStanding, String>>;
}

/// What came of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposed {
    Opened {
        /// Id of the change request.
        change: String,
        /// What a reader should know; may be empty.
        note: String,
    },
    /// Git says the same already.
    InGit,
    /// Only a person can do it; a part of a sentence.
    NeedsPerson(String),
}

/// What became of a change request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeStanding {
    Open,
    Merged,
    /// Closed without being merged, or gone; a part of a sentence.
    Declined(String),
}

/// Counts broken deadlines.
pub trait Counting: Send + Sync {
    /// `deadline` is `reconcile` or `review`.
    fn broken(&self, deadline: &'static str);

    /// How many there are in each phase now.
    fn phases(&self, phases: &[(&'static str, usize)]);
}
