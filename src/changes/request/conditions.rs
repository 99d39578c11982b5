//! Sets the conditions of a status; the time of one moves only when it turns.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    api::{ChangeRequestStatus, change_request::ChangeCondition},
    redact,
};

/// Characters of a message: the API server takes 32,768, a person reads a sentence.
const LONGEST: usize = 1_000;

/// Seconds are what the API server stores.
pub(super) fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

pub(super) fn time(at: Timestamp) -> Time {
    Time(whole(at))
}

/// Text of others, cut and without secrets.
pub(super) fn said(text: &str) -> String {
    redact::text(&text.chars().take(LONGEST).collect::<String>()).into_owned()
}

pub(super) fn set(
    status: &mut ChangeRequestStatus,
    type_: ChangeCondition,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let holds = if holds { "True" } else { "False" };
    let known = status.conditions.iter().position(|known| known.type_ == type_.as_str());
    let since = known
        .and_then(|at| status.conditions.get(at))
        .filter(|known| known.status == holds)
        .map_or_else(|| time(now), |known| known.last_transition_time.clone());
    let condition = Condition {
        type_: type_.as_str().to_owned(),
        status: holds.to_owned(),
        reason: reason.to_owned(),
        message: said(message),
        observed_generation: status.observed_generation,
        last_transition_time: since,
    };
    match known.and_then(|at| status.conditions.get_mut(at)) {
        Some(known) => *known = condition,
        None => status.conditions.push(condition),
    }
}

/// What the condition says now.
pub(super) fn reason(status: &ChangeRequestStatus, type_: ChangeCondition) -> Option<&str> {
    let known = status.conditions.iter().find(|known| known.type_ == type_.as_str())?;
    Some(known.reason.as_str())
}
