//! What emergencies need of other rooms, as traits; `app` plugs the rooms in.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use serde_json::Value;

use super::named::KindNames;
use crate::{
    api::emergency_change::{EmergencyChange, EmergencyTarget},
    caller::Caller,
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

    /// Which kinds of the cluster are meant by these names: kinds, plurals or short names, with or without their
    /// groups.
    ///
    /// # Errors
    /// One sentence, when the cluster's kinds cannot be read.
    fn kinds(&self, asked: BTreeSet<String>) -> BoxFuture<'_, Result<KindNames, String>>;

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

/// A kind that the cluster has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownKind {
    /// Empty for the core group.
    pub group: String,
    pub kind: String,
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
    /// Proposes what an emergency left behind in these objects: one pull request for each repository, labelled
    /// `emergency-reconcile` and linked to it. Asked again with others, the open one is brought up to date; so those
    /// that are proposed already must be among them. Answers by uid.
    ///
    /// An error is one sentence; the same may work later.
    fn propose<'a>(
        &'a self,
        origin: Origin<'a>,
        left: Vec<Left>,
    ) -> BoxFuture<'a, Vec<(String, Result<Proposed, String>)>>;

    /// What became of it. Who wrote is often known later than what: `people` as in [`Origin`].
    ///
    /// # Errors
    /// One sentence, when it cannot be found out now.
    fn standing<'a>(
        &'a self,
        change: &'a str,
        people: &'a BTreeSet<String>,
    ) -> BoxFuture<'a, Result<ChangeStanding, String>>;
}

/// Which emergency left something behind.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub emergency: &'a str,
    /// None of a record that nobody opened.
    pub incident: Option<&'a str>,
    /// Who did what and why, for the reviewer.
    pub about: &'a str,
    /// Everybody who asked for it or wrote in it: their approval is none.
    pub people: &'a BTreeSet<String>,
}

/// What an emergency left behind in one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    pub uid: String,
    pub object: EmergencyTarget,
    /// Who did it and when, for the reviewer.
    pub reason: String,
    pub what: Leaving,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Leaving {
    /// Fields as the cluster holds them now; `null` removes.
    Fields(Vec<(String, Value)>),
    /// It was made, and is as this says.
    Made(Value),
    Deleted,
}

/// What came of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposed {
    Opened {
        /// Id of the change request.
        change: String,
        /// Where a person reviews it: an address, or a branch; may be empty.
        at: String,
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
