//! What an emergency left behind goes back to Git as a change request.

use futures::future::BoxFuture;

use super::{
    parts::{ChangeStanding, Proposed, Reconciling},
    room::ourselves,
};
use crate::{
    api::change_request::ChangePhase,
    changes::{
        ChangeRequests,
        request::{Cause, Problem},
    },
    tools::Proposal,
};

impl Reconciling for ChangeRequests {
    fn propose<'a>(
        &'a self,
        emergency: &'a str,
        proposal: Proposal,
    ) -> BoxFuture<'a, Result<Proposed, String>> {
        Box::pin(async move {
            let evidence = vec![format!("EmergencyChange {emergency}")];
            let cause = Cause { evidence, emergency: Some(emergency.to_owned()), revises: None };
            // Nobody's own request: the emergency's limits are not those of a repository.
            match self.0.try_propose(&ourselves(), proposal, cause).await {
                Ok((_, answer)) if is_there(answer.structured.as_ref()) => Ok(Proposed::InGit),
                Ok((change, _)) => Ok(Proposed::Opened { change, note: String::new() }),
                // It was proposed before, and a person has said no.
                Err(Problem::Closed(why)) => Ok(Proposed::NeedsPerson(why)),
                Err(problem @ Problem::Unmapped { .. }) => Ok(Proposed::NeedsPerson(problem.to_string())),
                Err(problem) => Err(problem.to_string()),
            }
        })
    }

    fn standing<'a>(&'a self, change: &'a str) -> BoxFuture<'a, Result<ChangeStanding, String>> {
        Box::pin(async move {
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

fn declined(why: &str) -> ChangeStanding {
    ChangeStanding::Declined(why.to_owned())
}

fn is_there(structured: Option<&serde_json::Value>) -> bool {
    structured.is_some_and(|structured| structured["state"] == "NothingToDo")
}
