//! What an emergency left behind goes back to Git: a change request for each object, a pull request for each
//! repository.

use std::collections::BTreeSet;

use futures::future::BoxFuture;

use super::{
    parts::{ChangeStanding, Leaving, Left, Origin, Proposed, Reconciling},
    room::ourselves,
};
use crate::{
    api::{change_request::ChangePhase, emergency_change::EmergencyTarget},
    changes::{
        ChangeRequests,
        manifest::manifest,
        request::together::{About, Brought, Part, What},
    },
};

impl Reconciling for ChangeRequests {
    fn propose<'a>(
        &'a self,
        origin: Origin<'a>,
        left: Vec<Left>,
    ) -> BoxFuture<'a, Vec<(String, Result<Proposed, String>)>> {
        Box::pin(async move {
            let Origin { emergency, incident, about, people } = origin;
            let about = About { emergency, incident, said: about, people };
            let (mut parts, mut results) = (Vec::new(), Vec::new());
            for left in left {
                let uid = left.uid.clone();
                match part(left) {
                    Ok(part) => parts.push(part),
                    Err(why) => results.push((uid, Ok(Proposed::NeedsPerson(why)))),
                }
            }
            // Nobody's own request: the emergency's limits are not those of a repository.
            for (uid, brought) in self.0.together(&ourselves(), about, parts).await {
                results.push((uid, brought.map(proposed)));
            }
            results
        })
    }

    fn standing<'a>(
        &'a self,
        change: &'a str,
        people: &'a BTreeSet<String>,
    ) -> BoxFuture<'a, Result<ChangeStanding, String>> {
        Box::pin(async move {
            // Before it is looked at: whose approval counts must be known by then.
            self.0.note_people(change, people).await.map_err(|problem| problem.to_string())?;
            Ok(match self.phase(change).await? {
                Some(ChangePhase::Merged | ChangePhase::Applied | ChangePhase::Verified) => {
                    ChangeStanding::Merged
                }
                Some(ChangePhase::Drafted | ChangePhase::Proposed | ChangePhase::Approved) => {
                    ChangeStanding::Open
                }
                Some(ChangePhase::Rejected) => declined("a person closed it"),
                Some(ChangePhase::Withdrawn) => declined("it was withdrawn, or its branch is gone"),
                Some(ChangePhase::Failed) => declined("it cannot go on: get_change says why"),
                // It may be where this process does not look: no reason to call it declined.
                None => return Err(format!("change {change} is not found")),
            })
        })
    }
}

/// # Errors
/// When no pull request may carry it; a part of a sentence.
fn part(left: Left) -> Result<Part, String> {
    let Left { uid, object, reason, what } = left;
    let EmergencyTarget { kind, namespace, name } = object;
    let what = match what {
        Leaving::Fields(edits) => What::Fields(edits),
        Leaving::Made(live) => What::Added(manifest(&live).map_err(|error| error.to_string())?),
        Leaving::Deleted => What::Removed,
    };
    Ok(Part { key: uid, kind, namespace, name, reason, what })
}

fn proposed(brought: Brought) -> Proposed {
    match brought {
        Brought::Proposed { change, at } => Proposed::Opened { change, at },
        Brought::InGit => Proposed::InGit,
        Brought::NeedsPerson(why) => Proposed::NeedsPerson(why),
    }
}

fn declined(why: &str) -> ChangeStanding {
    ChangeStanding::Declined(why.to_owned())
}
