//! One emergency, or the record of writes without one: what it is at a moment follows from what its status holds.
//! Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;

use super::{
    apply::MANAGER,
    captured::{knows, second, unnamed, who},
    config::Terms,
    scope::covers,
};
use crate::{
    api::emergency_change::{
        Captured, Deadline, EmergencyChange, EmergencyChangeSpec, EmergencyChangeStatus, EmergencyPhase,
        Outcome,
    },
    changes::capture::Write,
};

/// A write's moment is told in whole seconds, by another clock.
const SKEW_SECONDS: i64 = 1;

/// One EmergencyChange, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Session {
    pub(super) meta: ObjectMeta,
    pub(super) spec: EmergencyChangeSpec,
    pub(super) status: EmergencyChangeStatus,
}

impl From<EmergencyChange> for Session {
    fn from(object: EmergencyChange) -> Self {
        let EmergencyChange { metadata, spec, status } = object;
        Self { meta: metadata, spec, status: status.unwrap_or_default() }
    }
}

impl From<Session> for EmergencyChange {
    fn from(session: Session) -> Self {
        let Session { meta, spec, status } = session;
        Self { metadata: meta, spec, status: Some(status) }
    }
}

impl Session {
    pub(super) fn name(&self) -> &str {
        self.meta.name.as_deref().unwrap_or_default()
    }

    /// Whether open_emergency or we ourselves made it: only then the name in it is proven.
    pub(super) fn is_ours(&self) -> bool {
        self.status.requested_at.is_some()
    }

    /// What it is in one word.
    pub(super) fn phase(&self, now: Timestamp) -> EmergencyPhase {
        let EmergencyChangeStatus {
            confirmed, active_from, close_asked, closed_at, lapsed, reviewed, ..
        } = &self.status;
        if reviewed.is_some() {
            return EmergencyPhase::Reviewed;
        }
        if lapsed.is_some() {
            return EmergencyPhase::Lapsed;
        }
        if self.has_open_breach() {
            return EmergencyPhase::Breached;
        }
        if closed_at.is_some() {
            return self.phase_after_closing();
        }
        if self.spec.unsanctioned {
            return EmergencyPhase::Capturing;
        }
        match (confirmed, active_from) {
            (None, _) => EmergencyPhase::Requested,
            (Some(_), None) => EmergencyPhase::Validated,
            (Some(_), Some(_)) if close_asked.is_none() && !self.is_over(now) => EmergencyPhase::Active,
            (Some(_), Some(_)) => EmergencyPhase::Capturing,
        }
    }

    fn phase_after_closing(&self) -> EmergencyPhase {
        let captured = &self.status.captured;
        let any = |wanted: Outcome| captured.iter().any(|one| outcome(one) == Some(wanted));
        if captured.is_empty() || !self.is_proposed() {
            EmergencyPhase::Closed
        } else if any(Outcome::Proposed) {
            EmergencyPhase::PullRequestOpened
        } else if any(Outcome::Merged) || any(Outcome::InGit) {
            EmergencyPhase::Merged
        } else {
            EmergencyPhase::Reverted
        }
    }

    /// Its time is over.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        passed(self.status.deadlines.expires_at.as_ref(), now)
    }

    /// Everything that was written is proposed to Git, in it, or undone.
    pub(super) fn is_proposed(&self) -> bool {
        self.status.closed_at.is_some()
            && self.status.captured.iter().all(|one| {
                matches!(
                    outcome(one),
                    Some(Outcome::Proposed | Outcome::Merged | Outcome::InGit | Outcome::Reverted)
                )
            })
    }

    /// Everything that was written is in Git or undone.
    pub(super) fn is_reconciled(&self) -> bool {
        self.is_proposed() && !self.status.captured.iter().any(|one| outcome(one) == Some(Outcome::Proposed))
    }

    pub(super) fn is_paused(&self) -> bool {
        self.status.gitops.iter().any(|stand| stand.paused)
    }

    pub(super) fn has_broken(&self, deadline: Deadline) -> bool {
        self.status.breaches.iter().any(|breach| breach.deadline == deadline)
    }

    /// A deadline was broken, and what it was for is still not done.
    fn has_open_breach(&self) -> bool {
        (self.has_broken(Deadline::Reconcile) && !self.is_proposed()) || self.has_broken(Deadline::Review)
    }

    /// Whether a write belongs to it.
    pub(super) fn takes(&self, write: &Write, now: Timestamp, terms: &Terms) -> bool {
        if knows(&self.status, write) {
            return true;
        }
        if self.status.reviewed.is_some() || self.status.lapsed.is_some() {
            return false;
        }
        if self.spec.unsanctioned { self.coalesces(write, now, terms) } else { self.sanctions(write, terms) }
    }

    fn sanctions(&self, write: &Write, terms: &Terms) -> bool {
        let EmergencyChangeStatus { active_from, close_asked, deadlines, .. } = &self.status;
        let Some(Time(from)) = active_from else { return false };
        let ends = [deadlines.expires_at.as_ref(), close_asked.as_ref().map(|asked| &asked.at)];
        let end = ends.into_iter().flatten().map(|time| time.0.as_second()).min();
        let at = write.at.as_second();
        at >= from.as_second() - SKEW_SECONDS
            && end.is_none_or(|end| at <= end + SKEW_SECONDS)
            && covers(&self.spec.scope, &write.object)
            && terms.deny.forbids_object(&write.object).is_none()
    }

    /// Edits of one person in one namespace within a while make one record.
    fn coalesces(&self, write: &Write, now: Timestamp, terms: &Terms) -> bool {
        let Some(first) = self.status.captured.first() else { return false };
        self.status.closed_at.is_none()
            && self.spec.requested_by == who(write)
            && first.object.namespace == write.object.namespace
            && now.as_second() < first.first_at.0.as_second().saturating_add(seconds(terms.coalesce))
    }

    /// Who asked for it and whose writes are in it, as far as they are known. The second person is among them only who
    /// wrote, too.
    pub(super) fn participants(&self) -> BTreeSet<String> {
        let written = self.status.captured.iter().flat_map(|captured| &captured.by);
        let mut people: BTreeSet<String> = written.chain([&self.spec.requested_by]).cloned().collect();
        // Which of the two had it applied is not known.
        if people.contains(&unnamed(MANAGER)) && !self.spec.second_person.is_empty() {
            people.insert(self.spec.second_person.clone());
        }
        people
    }

    /// Whoever did does not review it.
    pub(super) fn took_part(&self, user: &str) -> bool {
        self.participants().contains(user)
    }

    /// The next moment at which something happens by itself.
    pub(super) fn next_moment(&self, now: Timestamp, terms: &Terms) -> Option<Timestamp> {
        if self.phase(now).is_final() {
            return None;
        }
        let deadlines = &self.status.deadlines;
        let settled = self.status.close_asked.as_ref().map(|asked| after(asked.at.0, terms.settle));
        let begun = deadlines.reconcile_by.as_ref().map(|by| before(by.0, terms.head_start()));
        let coalesced = self.status.captured.first().filter(|_| self.spec.unsanctioned);
        let coalesced = coalesced.map(|first| after(first.first_at.0, terms.coalesce));
        let expired = deadlines.expires_at.as_ref().map(|by| by.0);
        let gathered = expired.map(|by| after(by, terms.settle));
        let idle = deadlines.idle_at.as_ref().map(|by| by.0);
        let due = [deadlines.reconcile_by.as_ref(), deadlines.review_by.as_ref()];
        [settled, begun, coalesced, expired, gathered, idle]
            .into_iter()
            .chain(due.map(|by| by.map(|by| by.0)))
            .flatten()
            .filter(|moment| *moment > now)
            .min()
    }
}

pub(super) fn outcome(captured: &Captured) -> Option<Outcome> {
    captured.reconciliation.as_ref().map(|reconciliation| reconciliation.outcome)
}

pub(super) fn passed(by: Option<&Time>, now: Timestamp) -> bool {
    by.is_some_and(|by| now >= by.0)
}

pub(super) fn seconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// Further than time goes is as far as time goes.
pub(super) fn after(at: Timestamp, span: std::time::Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn before(at: Timestamp, span: std::time::Duration) -> Timestamp {
    at.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// As a status holds it.
pub(super) fn time_after(at: Timestamp, span: std::time::Duration) -> Time {
    second(after(at, span))
}
