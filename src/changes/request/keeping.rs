//! Every write of a request to its shelf, with what is told and counted of it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Room,
    life::phase,
    shelf::{News, ShelfError},
    status,
};
use crate::api::{
    ChangeRequest, ChangeRequestStatus,
    change_request::{ChangePhase, ChangeTimes},
};

/// Counts what becomes of change requests; implemented in `app`.
pub trait Counting: Send + Sync {
    /// A request has come to this phase.
    fn reached(&self, phase: ChangePhase);

    /// One was seen healthy in the cluster, so many seconds after it was put up for review.
    fn took(&self, seconds: f64);

    /// How many there are in each phase now; all of them none where another replica looks after them.
    fn standing(&self, counts: &[(ChangePhase, usize)]);
}

/// Nobody reads the figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uncounted;

impl Counting for Uncounted {
    fn reached(&self, _: ChangePhase) {}
    fn took(&self, _: f64) {}
    fn standing(&self, _: &[(ChangePhase, usize)]) {}
}

/// What of a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// It is not there yet.
    New,
    Status,
    /// And its status.
    Spec,
}

impl Room {
    /// Stores a request that was `before`, and tells and counts what is new about it.
    pub(super) async fn keep(
        &self,
        before: Option<&ChangeRequestStatus>,
        request: &ChangeRequest,
        write: Write,
    ) -> Result<ChangeRequest, ShelfError> {
        let kept = match write {
            Write::New => self.shelf.create(request).await?,
            Write::Status => self.shelf.update(request).await?,
            Write::Spec => self.shelf.revise(request).await?,
        };
        let now = status(&kept);
        if let Some(phase) = reached(before, &now) {
            self.counting.reached(phase);
            if let Some(seconds) = (phase == ChangePhase::Verified).then(|| duration(&now.times)).flatten() {
                self.counting.took(seconds);
            }
        }
        if let Some(news) = news(before, &now) {
            self.shelf.tell(&kept, news).await;
        }
        Ok(kept)
    }

    /// Counts how many requests stand where.
    pub(super) fn count(&self, requests: &[ChangeRequest]) {
        let mut counts: BTreeMap<ChangePhase, usize> = ChangePhase::ALL.map(|phase| (phase, 0)).into();
        for request in requests {
            *counts.entry(phase(&status(request))).or_default() += 1;
        }
        self.counting.standing(&counts.into_iter().collect::<Vec<_>>());
    }
}

/// The phase that it has come to with this write. A request that is brought up to date is not proposed twice.
fn reached(before: Option<&ChangeRequestStatus>, now: &ChangeRequestStatus) -> Option<ChangePhase> {
    let is = now.phase?;
    let was = before.and_then(|before| before.phase);
    let is_new = match is {
        ChangePhase::Drafted => was.is_none(),
        ChangePhase::Proposed => before.is_none_or(|before| before.times.proposed != now.times.proposed),
        _ => was != Some(is),
    };
    is_new.then_some(is)
}

/// What a person who describes the request should read of this write.
fn news(before: Option<&ChangeRequestStatus>, now: &ChangeRequestStatus) -> Option<News> {
    let is = now.phase?;
    let was = before.and_then(|before| before.phase);
    // Each is written down for a moment before it is proposed; one that stays so has a message that says why.
    let is_new = match is {
        ChangePhase::Drafted => before.is_none_or(|before| before.message != now.message),
        _ => was != Some(is),
    };
    if !is_new || now.message.is_empty() {
        return None;
    }
    let is_warning = match is {
        ChangePhase::Drafted | ChangePhase::Failed => true,
        ChangePhase::Merged => now.self_approved,
        ChangePhase::Proposed
        | ChangePhase::Approved
        | ChangePhase::Applied
        | ChangePhase::Verified
        | ChangePhase::Rejected
        | ChangePhase::Withdrawn => false,
    };
    let reason = if is == ChangePhase::Drafted { "Waits" } else { is.as_str() };
    Some(News { is_warning, reason, note: now.message.clone() })
}

fn duration(times: &ChangeTimes) -> Option<f64> {
    let ChangeTimes { proposed, verified, .. } = times;
    let verified = verified.as_ref().map_or_else(Timestamp::now, |verified| verified.0);
    let took = proposed.as_ref()?.0.duration_until(verified);
    Some(took.as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::{duration, news, reached};
    use crate::api::{
        ChangeRequestStatus,
        change_request::{ChangePhase, ChangeTimes},
    };

    fn at(second: i64) -> Option<Time> {
        Some(Time(Timestamp::from_second(second).unwrap()))
    }

    fn status(phase: ChangePhase, message: &str, proposed: i64) -> ChangeRequestStatus {
        ChangeRequestStatus {
            phase: Some(phase),
            message: message.to_owned(),
            times: ChangeTimes { proposed: at(proposed), ..ChangeTimes::default() },
            ..ChangeRequestStatus::default()
        }
    }

    #[test]
    fn a_phase_is_counted_and_told_once() {
        use ChangePhase::{Approved, Drafted, Failed, Merged, Proposed};
        let drafted = status(Drafted, "", 0);
        assert_eq!(reached(None, &drafted), Some(Drafted));
        assert_eq!(news(None, &drafted), None, "it is proposed in a moment");
        let waits = status(Drafted, "It is not in the repository yet.", 0);
        assert_eq!(reached(Some(&drafted), &waits), None);
        assert_eq!(news(Some(&drafted), &waits).unwrap().reason, "Waits");
        assert_eq!(news(Some(&waits), &waits), None);

        let proposed = status(Proposed, "It is for review.", 10);
        assert_eq!(reached(Some(&drafted), &proposed), Some(Proposed));
        assert!(!news(Some(&drafted), &proposed).unwrap().is_warning);
        let approved = status(Approved, "bob approved it.", 10);
        assert_eq!(reached(Some(&approved), &proposed), None, "it was only brought up to date");
        assert_eq!(news(Some(&approved), &proposed).unwrap().reason, "Proposed");
        assert_eq!(reached(Some(&proposed), &status(Proposed, "Again.", 20)), Some(Proposed));

        let own = ChangeRequestStatus { self_approved: true, ..status(Merged, "Merged.", 10) };
        assert!(news(Some(&approved), &own).unwrap().is_warning);
        assert!(news(Some(&drafted), &status(Failed, "No.", 0)).unwrap().is_warning);
    }

    #[test]
    fn the_time_runs_from_review_to_health() {
        let times = ChangeTimes { proposed: at(100), verified: at(160), ..ChangeTimes::default() };
        assert_eq!(duration(&times), Some(60.0));
        assert_eq!(duration(&ChangeTimes { verified: at(160), ..ChangeTimes::default() }), None);
    }
}
