//! The life of a change request as plain functions: what a state and a look at the world make of it.
//!
//! ```text
//! Drafted ─► Proposed ─► Approved ─► Merged ─► Applied ─► Verified
//!    │          └──────────┴─► Rejected (closed by a person) │ Withdrawn (by the requester, or the branch is gone)
//!    └─► Failed
//! ```

use jiff::Timestamp;

use super::{
    approval::{Approval, People, is_other},
    askers::askers,
    conditions::{reason, said, set, time},
    delivery::Delivered,
    health::Health,
};
use crate::{
    api::{
        ChangeRequestSpec, ChangeRequestStatus,
        change_request::{ChangeCondition, ChangePhase},
    },
    changes::forge::{ForgeError, PullRequest, PullRequestState},
};

/// What is to be looked at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Nothing changes any more.
    None,
    /// It was written down and not proposed: a process ended in between, or the forge did not answer.
    Finish,
    Forge,
    /// Whether the cluster has it, and how the object is.
    Cluster,
}

pub(super) fn duty(status: &ChangeRequestStatus) -> Duty {
    match phase(status) {
        ChangePhase::Drafted => Duty::Finish,
        ChangePhase::Proposed | ChangePhase::Approved => Duty::Forge,
        ChangePhase::Merged | ChangePhase::Applied => Duty::Cluster,
        ChangePhase::Verified | ChangePhase::Rejected | ChangePhase::Withdrawn | ChangePhase::Failed => {
            Duty::None
        }
    }
}

/// One without a phase was made a moment ago.
pub(in crate::changes) fn phase(status: &ChangeRequestStatus) -> ChangePhase {
    status.phase.unwrap_or(ChangePhase::Drafted)
}

/// What asking for the same change once more comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// It is made from the beginning.
    Anew,
    /// It is open: brought up to date where the base has moved.
    Refresh,
    /// A person closed it: that is an answer.
    Closed,
}

pub(super) fn start(known: Option<&ChangeRequestStatus>) -> Start {
    match known.map(phase) {
        Some(ChangePhase::Proposed | ChangePhase::Approved) => Start::Refresh,
        Some(ChangePhase::Rejected) => Start::Closed,
        // Whether it is still in the base says the base.
        Some(ChangePhase::Merged | ChangePhase::Applied | ChangePhase::Verified)
        | Some(ChangePhase::Drafted | ChangePhase::Withdrawn | ChangePhase::Failed)
        | None => Start::Anew,
    }
}

/// What was seen of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen<'a> {
    PullRequest(&'a PullRequest),
    /// There is no branch of it any more, and nothing says that it was merged.
    Gone,
    /// The base branch does not hold the commit any more that it must hold.
    BaseRewritten,
    Cluster(&'a Delivered),
    Trouble(&'a ForgeError),
}

/// What is to be done beside storing the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Into the record: it reached this phase.
    Note(ChangePhase),
    /// A line under the pull request, where it has one.
    Comment(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Next {
    pub(super) status: ChangeRequestStatus,
    pub(super) acts: Vec<Act>,
}

/// The same status when nothing changed, to the letter.
pub(super) fn next(
    spec: &ChangeRequestSpec,
    before: &ChangeRequestStatus,
    seen: Seen<'_>,
    people: &People,
    now: Timestamp,
) -> Next {
    let mut life = Life { spec, status: before.clone(), people, now, acts: Vec::new() };
    match seen {
        Seen::PullRequest(pull_request) => life.reviewed(pull_request),
        Seen::Gone => life.gone(),
        Seen::BaseRewritten => life.rewritten(),
        Seen::Cluster(delivered) => life.delivered(delivered),
        Seen::Trouble(error) => life.trouble(error),
    }
    let Life { status, acts, .. } = life;
    Next { status, acts }
}

struct Life<'a> {
    spec: &'a ChangeRequestSpec,
    status: ChangeRequestStatus,
    people: &'a People,
    now: Timestamp,
    acts: Vec<Act>,
}

impl Life<'_> {
    fn set(&mut self, type_: ChangeCondition, holds: bool, reason: &str, message: &str) {
        set(&mut self.status, type_, holds, reason, message, self.now);
    }

    fn reach(&mut self, phase: ChangePhase) {
        if self.status.phase.replace(phase) != Some(phase) {
            self.acts.push(Act::Note(phase));
        }
    }

    fn say(&mut self, message: &str) {
        self.status.message = said(message);
    }

    fn answered(&mut self) {
        self.set(ChangeCondition::Reachable, true, "Answers", "The repository answers.");
    }

    fn trouble(&mut self, error: &ForgeError) {
        let word = trouble(error);
        // The same trouble in other words is no news.
        if reason(&self.status, ChangeCondition::Reachable) != Some(word) {
            self.set(ChangeCondition::Reachable, false, word, &error.to_string());
        }
    }

    fn reviewed(&mut self, pull_request: &PullRequest) {
        self.answered();
        // One that a person closed may be opened again; everything else that is past its review stays so.
        let is_reviewed = matches!(
            phase(&self.status),
            ChangePhase::Proposed | ChangePhase::Approved | ChangePhase::Rejected
        );
        if !is_reviewed {
            return;
        }
        let all = askers(self.spec, &self.status);
        let askers: Vec<&str> = all.iter().map(String::as_str).collect();
        let approval = Approval::of(pull_request, &askers, self.people);
        match &pull_request.state {
            PullRequestState::Merged { commit, at, by } => {
                let merger = by.as_deref().map(|by| (by, is_other(pull_request, by, &askers, self.people)));
                self.approved_until_merged(&approval, merger, &askers);
                self.merged(commit, at.unwrap_or(self.now), by.as_deref());
            }
            PullRequestState::Closed { by: Some(by) } if pull_request.is_withdrawn() => self.taken_back(by),
            PullRequestState::Closed { by } => self.closed(by.as_deref()),
            PullRequestState::Open => self.open(&approval, &askers),
        }
    }

    fn open(&mut self, approval: &Approval, askers: &[&str]) {
        let Approval { by, by_others, objections, outdated } = approval;
        self.status.approved_by.clone_from(by);
        self.status.self_approved = approval.is_own();
        let (holds, word, message) = if approval.holds() {
            (true, "ApprovedByOther", format!("{} approved it.", by_others.join(", ")))
        } else if !objections.is_empty() {
            (false, "ChangesRequested", format!("{} asks for changes.", objections.join(", ")))
        } else if approval.is_own() {
            let by = by.join(", ");
            (
                false,
                "SelfApproval",
                format!(
                    "Only {by} approved it, who asked for it ({}) or is our own account: somebody else must.",
                    askers.join(", ")
                ),
            )
        } else if !outdated.is_empty() {
            let outdated = outdated.join(", ");
            (
                false,
                "OutdatedApproval",
                format!("{outdated} approved it before its newest commit: it must be looked at again."),
            )
        } else {
            (false, "WaitsForReview", "Nobody has reviewed it yet.".to_owned())
        };
        self.set(ChangeCondition::Approved, holds, word, &message);
        if holds {
            if self.status.phase != Some(ChangePhase::Approved) {
                self.status.times.approved = Some(time(self.now));
            }
            self.reach(ChangePhase::Approved);
            let base = self.status.base_branch.clone();
            self.say(&format!("{message} Next: a person merges it into {base}."));
        } else {
            if self.status.phase == Some(ChangePhase::Rejected) {
                self.status.times.ended = None;
            }
            self.reach(ChangePhase::Proposed);
            self.status.times.approved = None;
            let base = self.status.base_branch.clone();
            self.say(&format!("{message} Next: a person reviews it and merges it into {base}."));
        }
    }

    /// Without a review, whoever merged it is the one who looked at it: their name, and whether they had no hand in it.
    fn approved_until_merged(&mut self, approval: &Approval, merger: Option<(&str, bool)>, askers: &[&str]) {
        let (approvers, is_other) = match (approval.by.as_slice(), merger) {
            ([], Some((by, is_other))) => (vec![by.to_owned()], is_other),
            (approvers, _) => (approvers.to_vec(), !approval.by_others.is_empty()),
        };
        let names = approvers.join(", ");
        let (word, message) = match (approvers.is_empty(), is_other) {
            (true, _) => {
                ("NotKnown", "It was merged; who approved it is not known in this forge.".to_owned())
            }
            (false, true) => ("ApprovedByOther", format!("{names} approved it.")),
            (false, false) => (
                "SelfApproval",
                format!(
                    "Only {names} approved it, who asked for it ({}) or is our own account.",
                    askers.join(", ")
                ),
            ),
        };
        self.status.self_approved = !approvers.is_empty() && !is_other;
        self.status.approved_by = approvers;
        self.set(ChangeCondition::Approved, is_other, word, &message);
    }

    fn merged(&mut self, commit: &str, at: Timestamp, by: Option<&str>) {
        self.reach(ChangePhase::Merged);
        commit.clone_into(&mut self.status.merged_commit);
        self.status.times.merged = Some(time(at));
        let base = self.status.base_branch.clone();
        let by = by.map_or_else(String::new, |by| format!(" by {by}"));
        let message = format!("Merged into {base}{by} as {}.", short(commit));
        self.set(ChangeCondition::Merged, true, "Merged", &message);
        let own =
            if self.status.self_approved { " Nobody but those who asked for it approved it." } else { "" };
        self.say(&format!("{message}{own} Next: what applies {base} brings it to the cluster."));
    }

    fn closed(&mut self, by: Option<&str>) {
        if self.status.phase == Some(ChangePhase::Rejected) {
            return;
        }
        self.reach(ChangePhase::Rejected);
        self.status.times.ended = Some(time(self.now));
        let by = by.map_or_else(|| "A person".to_owned(), ToOwned::to_owned);
        let message = format!("{by} closed the pull request without merging it.");
        self.set(ChangeCondition::Merged, false, "Closed", &message);
        self.say(&format!(
            "{message} It is not opened again; revise_change with another reason or other edits makes a new one."
        ));
    }

    /// Our own account closed it, and the process ended before it could say so.
    fn taken_back(&mut self, by: &str) {
        if duty(&self.status) != Duty::Forge {
            return;
        }
        self.reach(ChangePhase::Withdrawn);
        self.status.times.ended = Some(time(self.now));
        let message = format!("It was withdrawn: {by}, which opened the pull request, closed it.");
        self.set(ChangeCondition::Merged, false, "Withdrawn", &message);
        self.say(&format!("{message} It may be proposed again."));
    }

    fn gone(&mut self) {
        self.answered();
        if duty(&self.status) != Duty::Forge {
            return;
        }
        let (branch, base) = (self.status.branch.clone(), self.status.base_branch.clone());
        self.reach(ChangePhase::Withdrawn);
        self.status.times.ended = Some(time(self.now));
        let message = format!(
            "{branch} is gone and no commit in {base} carries its Change-Id, so it was withdrawn, or merged under another message."
        );
        self.set(ChangeCondition::Merged, false, "BranchGone", &message);
        self.say(&format!("{message} Propose it again if it is still wanted."));
    }

    fn rewritten(&mut self) {
        let base = self.status.base_branch.clone();
        match duty(&self.status) {
            Duty::Cluster => {
                let merged = short(&self.status.merged_commit).to_owned();
                let message = format!(
                    "{base} does not hold {merged} any more, with which it was merged: {base} was force-pushed."
                );
                self.reach(ChangePhase::Failed);
                self.status.times.ended = Some(time(self.now));
                self.set(ChangeCondition::Merged, false, "BaseRewritten", &message);
                self.say(&format!("{message} Propose it again if it is still wanted."));
            }
            Duty::Forge => {
                let from = short(&self.status.base_commit).to_owned();
                let message = format!(
                    "{base} does not hold {from} any more, from which it starts: {base} was force-pushed."
                );
                self.set(ChangeCondition::Merged, false, "BaseRewritten", &message);
                self.say(&format!(
                    "{message} propose_change of the same makes it anew on {base} as it is now."
                ));
            }
            Duty::None | Duty::Finish => {}
        }
    }

    fn delivered(&mut self, delivered: &Delivered) {
        if duty(&self.status) != Duty::Cluster {
            return;
        }
        let Delivered { by, missing, health } = delivered;
        if self.status.phase == Some(ChangePhase::Merged) {
            let Some(by) = by else {
                self.set(ChangeCondition::Applied, false, "NotYet", missing);
                return;
            };
            self.reach(ChangePhase::Applied);
            self.status.times.applied = Some(time(self.now));
            self.set(ChangeCondition::Applied, true, "Seen", by);
            self.say(&format!("{by} Next: the object becomes healthy with it."));
        }
        match health {
            Health::Good => {
                self.reach(ChangePhase::Verified);
                self.status.times.verified = Some(time(self.now));
                let target = &self.spec.target;
                let message = format!("{target} has the change and is healthy.");
                self.set(ChangeCondition::Verified, true, "Healthy", &message);
                self.say(&message);
                self.acts.push(Act::Comment(format!("Verified: {message}")));
            }
            Health::Not { why } => {
                let message = format!("{} is not healthy yet: {why}", self.spec.target);
                // Counts in it move with every pod that starts.
                if reason(&self.status, ChangeCondition::Verified) != Some("NotHealthy") {
                    self.set(ChangeCondition::Verified, false, "NotHealthy", &message);
                    self.say(&format!(
                        "It was applied. {message}. Next: if it stays so, diagnose says why, and a new propose_change can take it back."
                    ));
                }
            }
        }
    }
}

/// One word for what is wrong.
pub(super) fn trouble(error: &ForgeError) -> &'static str {
    match error {
        ForgeError::Refused(_) => "Refused",
        ForgeError::Unavailable(_) => "Unavailable",
        ForgeError::Missing(_) => "Missing",
        ForgeError::Unsupported(_) => "Unsupported",
    }
}

pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
