//! The requester takes a change back: its pull request is closed, its branch removed, unless somebody else has
//! committed to it.

use jiff::Timestamp;

use super::{
    Room,
    conditions::{said, set, time},
    id,
    keeping::Write,
    life::phase,
    look,
    problem::Problem,
    shelf::ShelfError,
    status, story, together, words,
};
use crate::{
    answer::Answer,
    api::{
        ChangeRequest,
        change_request::{ChangeCondition, ChangePhase},
    },
    audit::Line,
    caller::Caller,
};

impl Room {
    pub(in crate::changes) async fn withdraw(
        &self,
        caller: &Caller,
        asked: &str,
        reason: Option<&str>,
    ) -> Answer {
        match self.try_withdraw(caller, asked, reason).await {
            Ok(answer) => answer,
            Err(problem) => self.refused(caller, "change/withdraw", asked, "Nothing was withdrawn", &problem),
        }
    }

    async fn try_withdraw(
        &self,
        caller: &Caller,
        asked: &str,
        reason: Option<&str>,
    ) -> Result<Answer, Problem> {
        let found = self.own(caller, asked).await?;
        let _turn = self.turn(id(&found)).await?;
        let found = self.shelf.get(id(&found)).await?.unwrap_or(found);
        let found = match phase(&status(&found)) {
            ChangePhase::Proposed | ChangePhase::Approved => self.look(found).await.0,
            _ => found,
        };
        match phase(&status(&found)) {
            ChangePhase::Drafted | ChangePhase::Proposed | ChangePhase::Approved | ChangePhase::Failed => {}
            ChangePhase::Withdrawn => return Ok(words::one(&found, "It was withdrawn before.")),
            other => {
                return Err(Problem::Asked(format!(
                    "change {asked} is {other}: {}",
                    status(&found).message.trim_end_matches('.')
                )));
            }
        }
        together::refuse_shared(&found)?;
        self.take_back(caller, found, reason).await
    }

    async fn take_back(
        &self,
        caller: &Caller,
        found: ChangeRequest,
        reason: Option<&str>,
    ) -> Result<Answer, Problem> {
        if !self.lead.leads() {
            return Err(ShelfError::NotLeading.into());
        }
        let mut now = status(&found);
        let why = reason.map(|reason| format!(": {}", said(reason.trim()))).unwrap_or_default();
        let home = self.choose_known(&now.repository)?;
        let forge = home.forge.as_ref();
        // Also of one that failed half-way something may be there.
        let is_there = forge.head(&now.branch).await?.is_some();
        let mut is_left = false;
        let line = |action: &str, decision: &str| {
            Line::now(caller, action, &found.spec.target.to_string(), decision)
                .with("change", id(&found))
                .with("repository", &now.repository)
                .with("branch", &now.branch)
                .with("commit", &now.commit)
        };
        self.audit.durable(line("change/withdraw", "allowed")).await?;
        let number = look::number(&now);
        if let Some(number) = number {
            let comment = format!("{}{why}", story::line(&caller.user, "Withdrawn").trim_end_matches('.'));
            if let Err(error) = forge.comment(number, &story::plain_line(&comment)).await {
                tracing::warn!(%error, change = id(&found), "the pull request is not told why it is closed");
            }
        }
        if is_there || number.is_some() {
            is_left = !forge.close(number.unwrap_or(0), &now.branch, &now.commit).await?;
        }
        if let Err(error) = self.audit.queue(line("change/withdrawn", "done")) {
            tracing::error!(%error, change = id(&found), "the end of a change is not in the audit record");
        }
        let at = Timestamp::now();
        now.phase = Some(ChangePhase::Withdrawn);
        now.times.ended = Some(time(at));
        let message = format!("{} withdrew it{why}.", caller.user);
        set(&mut now, ChangeCondition::Merged, false, "Withdrawn", &message, at);
        let next = if is_left {
            format!(
                "Branch {} stays, since it holds commits that are not pilothouse's: remove it when nobody needs them, then it may be proposed again.",
                now.branch
            )
        } else {
            "It may be proposed again.".to_owned()
        };
        now.message = said(&format!("{message} {next}"));
        let before = found.status.clone();
        let withdrawn = ChangeRequest { status: Some(now), ..found };
        let stored = self.keep(before.as_ref(), &withdrawn, Write::Status).await?;
        Ok(words::one(&stored, "Withdrawn."))
    }

    fn choose_known(&self, name: &str) -> Result<&super::Home, Problem> {
        self.home(name).ok_or_else(|| {
            Problem::Asked(format!(
                "repository {name} is no longer configured: add it again, or close its pull request by hand"
            ))
        })
    }
}
