//! Where a change stands now: what was kept, and what the repository says about it since.

use std::{collections::BTreeMap, path::Path};

use futures::future::join_all;

use super::{
    config::Repository,
    git::{Fate, Look},
    record::{Record, State},
};
use crate::redact;

/// A change's state as far as it is known. The record keeps what we did; this says what others did with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Drafted,
    Failed,
    /// On its branch, seen just now.
    Proposed,
    Merged,
    Withdrawn,
    /// Pushed; the repository could not be asked since.
    NotLooked {
        why: String,
    },
}

impl Standing {
    /// The word for it in lists and structured answers.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Drafted => "Drafted",
            Self::Failed => "Failed",
            Self::Proposed | Self::NotLooked { .. } => "Proposed",
            Self::Merged => "Merged",
            Self::Withdrawn => "Withdrawn",
        }
    }

    /// What is known, and what comes next; a sentence without its end.
    pub(super) fn next(&self, record: &Record) -> String {
        let Record { branch, base_branch, at, problem, .. } = record;
        match self {
            Self::Proposed => format!("a person reviews {branch} and merges it into {base_branch}"),
            Self::Merged => format!(
                "nothing in Git, it is in {base_branch}; what applies the repository brings it to the cluster"
            ),
            Self::Withdrawn => format!(
                "nothing: {branch} is gone and no commit in {base_branch} carries its Change-Id, so it was withdrawn, or merged under another message; propose it again if it is still wanted"
            ),
            Self::NotLooked { why } => format!(
                "this is as of the push at {at:.0}; whether a person has merged or withdrawn {branch} since is not known ({why})"
            ),
            Self::Drafted => {
                "it was written down but perhaps not pushed; propose the same change again to finish it"
                    .to_owned()
            }
            Self::Failed => format!("{problem}; then propose the same change again"),
        }
    }
}

/// Asks each repository once, all at the same time. One standing for each record, in their order.
pub(super) async fn of(records: &[Record], repositories: &[&Repository], work: &Path) -> Vec<Standing> {
    let asked = repositories.iter().filter(|repository| {
        records.iter().any(|record| record.state == State::Proposed && record.repository == repository.name)
    });
    let looks: BTreeMap<_, _> = join_all(
        asked.map(async |repository| (repository.name.as_str(), Look::take(repository, work).await)),
    )
    .await
    .into_iter()
    .collect();
    records
        .iter()
        .map(|record| match (record.state, looks.get(record.repository.as_str())) {
            (State::Drafted, _) => Standing::Drafted,
            (State::Failed, _) => Standing::Failed,
            (State::Proposed, Some(Ok(look))) => match look.fate(&record.id, &record.branch) {
                Fate::Open => Standing::Proposed,
                Fate::Merged => Standing::Merged,
                Fate::Gone => Standing::Withdrawn,
            },
            (State::Proposed, Some(Err(error))) => {
                Standing::NotLooked { why: redact::text(&error.to_string()).into_owned() }
            }
            (State::Proposed, None) => Standing::NotLooked {
                why: format!("repository {} is no longer configured", record.repository),
            },
        })
        .collect()
}
