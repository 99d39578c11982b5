//! The serving certificate: made by the leader and kept in a Secret, or somebody else's; presented by every replica.
//!
//! An authority signs one certificate and its key is thrown away. What comes next is trusted before it is used:
//! [`life`] decides, [`issue`] makes, [`stored`] is what the Secret holds, [`keeper`] writes, [`presented`] serves.

mod issue;
mod keeper;
mod life;
mod presented;
mod stored;

pub(in crate::operator) use keeper::Keeper;
pub(super) use presented::{Presented, follow};
