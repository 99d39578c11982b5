//! Another intent for a change that was asked for: an open one gets it, a closed one is taken up by a new one.

use super::{
    super::understand::Understood,
    Room,
    carried::Carried,
    carry::{How, Load},
    id,
    life::phase,
    look,
    problem::Problem,
    spec::{self, Cause},
    status, story, together, words,
};
use crate::{
    answer::Answer,
    api::{ChangeRequest, ChangeRequestSpec, change_request::ChangePhase},
    caller::Caller,
    tools::{Proposal, Revision},
};

impl Room {
    pub(in crate::changes) async fn revise(
        &self,
        caller: &Caller,
        asked: &str,
        revision: Revision,
    ) -> Answer {
        match self.try_revise(caller, asked, revision).await {
            Ok(answer) => answer,
            Err(problem) => self.refused(caller, "change/revise", asked, "Nothing was revised", &problem),
        }
    }

    async fn try_revise(&self, caller: &Caller, asked: &str, revision: Revision) -> Result<Answer, Problem> {
        let found = self.own(caller, asked).await?;
        let name = id(&found).to_owned();
        let turn = self.turn(&name).await?;
        let found = self.shelf.get(&name).await?.unwrap_or(found);
        let found = match phase(&status(&found)) {
            ChangePhase::Proposed | ChangePhase::Approved => self.look(found).await.0,
            _ => found,
        };
        together::refuse_shared(&found)?;
        let proposal = revised(&found.spec, revision);
        if let Some(access) = &self.access {
            access.sees_object(caller, &proposal).await.map_err(Problem::Asked)?;
        }
        match phase(&status(&found)) {
            ChangePhase::Drafted | ChangePhase::Proposed | ChangePhase::Approved | ChangePhase::Failed => {
                self.in_place(caller, found, proposal).await
            }
            ChangePhase::Rejected | ChangePhase::Withdrawn => {
                // The new one has a turn of its own.
                drop(turn);
                let cause = Cause {
                    evidence: found.spec.evidence.clone(),
                    emergency: found.spec.emergency.clone(),
                    revises: Some(name),
                };
                self.try_propose(caller, proposal, cause).await.map(|(_, answer)| answer)
            }
            ChangePhase::Merged | ChangePhase::Applied | ChangePhase::Verified => {
                Err(Problem::Asked(format!(
                    "change {name} is {}: propose_change what is to be different now",
                    phase(&status(&found))
                )))
            }
        }
    }

    /// The caller holds its turn.
    async fn in_place(
        &self,
        caller: &Caller,
        found: ChangeRequest,
        proposal: Proposal,
    ) -> Result<Answer, Problem> {
        let before = found.spec.clone();
        let repository = status(&found).repository;
        let Understood { intent, repository: _ } = self.understood(caller, proposal).await?;
        let ground = self.ground(caller, &intent.target, Some(&repository)).await?;
        let home = self.home_of(&ground.place.repository)?;
        let spec = ChangeRequestSpec { reason: intent.reason.clone(), edits: Vec::new(), ..before.clone() };
        let name = id(&found).to_owned();
        let load = Load {
            home,
            place: &ground.place,
            live: ground.live.as_ref(),
            intent: &intent,
            caller,
            id: name.clone(),
            stored: Some(found),
            spec,
            how: How::Revise,
        };
        let carried = self.carry(load).await?;
        if let Carried::Updated { request, .. } = &carried {
            let now = status(request);
            if let (Some(number), false) = (look::number(&now), request.spec == before) {
                let said = story::line(&caller.user, "Revised");
                let said = format!("{said}\n\n{}", story::plain_line(&request.spec.reason));
                // The audit line of the update stands for it; the body of the pull request says the same.
                if let Err(error) = home.forge.comment(number, &said).await {
                    tracing::warn!(%error, change = name, "the pull request is not told of its revision");
                }
            }
        }
        Ok(words::carried(&carried, &intent, &name, &home.repository))
    }

    /// The request, where this caller may change it: the requester, and whoever may update ChangeRequests there.
    ///
    /// # Errors
    /// The same for one that this caller may not see and for one that is not there.
    pub(super) async fn own(&self, caller: &Caller, asked: &str) -> Result<ChangeRequest, Problem> {
        let found = self.shelf.get(asked).await?;
        let seen = self.seen(caller, found.into_iter().collect()).await.map_err(Problem::Asked)?;
        let Some(found) = seen.into_iter().next() else {
            return Err(Problem::Asked(self.unknown(caller, asked).await));
        };
        if found.spec.requested_by == caller.user {
            return Ok(found);
        }
        let Some(access) = &self.access else { return Ok(found) };
        let namespace = found.spec.target.namespace.as_deref();
        if access.changes_others(caller, namespace).await.map_err(Problem::Asked)? {
            return Ok(found);
        }
        let requester = &found.spec.requested_by;
        Err(Problem::Asked(format!(
            "change {asked} is {requester}'s: ask them, or somebody who may update changerequests.pilothouse.dev there"
        )))
    }
}

/// What is asked now: what was asked, but for what is named.
fn revised(spec: &ChangeRequestSpec, revision: Revision) -> Proposal {
    let Revision { change, reason } = revision;
    let before = spec::proposal_of(spec);
    Proposal {
        change: change.unwrap_or(before.change),
        reason: reason.unwrap_or(before.reason),
        kind: before.kind,
        namespace: before.namespace,
        name: before.name,
        repository: before.repository,
    }
}
