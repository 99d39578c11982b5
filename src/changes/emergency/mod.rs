//! Emergencies: people change the cluster past Git, within a scope and a time, and what they wrote goes back to Git.
//! Writes that nobody opened an emergency for are recorded with the same deadlines.
//!
//! [`step`] is what an event makes of an emergency and [`session`] what it is at a moment, both pure; [`criteria`]
//! says whether one may be opened, [`verdict`] what is left of it in the cluster, [`gitops`] who would undo it.
//! [`room`] keeps the records, [`ask`] answers the tools and [`apply`] makes an expected change, [`round`] does what time and the cluster demand, and
//! [`reconcile`] brings what was written back to Git.
//! README.md says which decisions were hard.

mod apply;
mod ask;
mod by_request;
mod captured;
mod config;
mod criteria;
mod deny;
mod digest;
#[cfg(test)]
mod folder;
mod gitops;
mod kinds;
mod named;
mod parts;
mod patch;
mod reconcile;
mod room;
mod round;
mod scope;
mod session;
mod shown;
mod sight;
#[cfg(test)]
mod stage;
mod step;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod story_tests;
mod verdict;
mod words;

pub use config::{DenyConfig, EmergencyConfig, EmergencyConfigError, Execution, PeopleConfig};
pub use gitops::APPLIERS;
pub use named::KindNames;
pub use parts::{
    ChangeStanding, Counting, Eyes, Hands, KnownKind, Leaving, Left, Origin, Proposed, Reconciling,
    RecordError, Records,
};
pub use room::{Clock, Covered, EmergencyParts, EmergencyRoom};
