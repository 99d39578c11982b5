//! Emergencies: people change the cluster past Git, within a scope and a time, and what they wrote goes back to Git.
//! Writes that nobody opened an emergency for are recorded with the same deadlines.
//!
//! [`step`] is what an event makes of an emergency and [`session`] what it is at a moment, both pure; [`criteria`]
//! says whether one may be opened, [`verdict`] what is left of it in the cluster, [`gitops`] who would undo it.
//! [`room`] keeps the records, [`ask`] answers the tools, [`round`] does what time and the cluster demand.
//! README.md says which decisions were hard.

mod ask;
mod by_request;
mod captured;
mod config;
mod criteria;
mod digest;
mod folder;
mod gitops;
mod parts;
mod patch;
mod room;
mod round;
mod scope;
mod session;
mod shown;
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
pub use folder::Folder;
pub use gitops::APPLIERS;
pub use parts::{ChangeStanding, Counting, Eyes, Hands, Proposed, Reconciling, RecordError, Records};
pub use room::{Clock, Covered, EmergencyParts, EmergencyRoom};
