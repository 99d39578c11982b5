//! Why a change request did not come about, each a sentence without its end.

use super::{
    super::{forge::ForgeError, layers::Unmapped},
    shelf::ShelfError,
};
use crate::audit::AuditError;

#[derive(Debug, thiserror::Error)]
pub(in crate::changes) enum Problem {
    #[error("{0}")]
    Asked(String),
    #[error("in repository {repository}, {unmapped}")]
    Unmapped { repository: String, unmapped: Unmapped },
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(
        "branch {branch} of repository {repository} moved twice while the change was made: ask again when it is quiet"
    )]
    Moved { repository: String, branch: String },
    #[error(
        "repository {repository} has {open} open change requests and its openLimit is {limit}: let people merge or close some, or withdraw_change one of yours ({ids})"
    )]
    Limit { repository: String, open: usize, limit: usize, ids: String },
    #[error("{0}")]
    Closed(String),
}
