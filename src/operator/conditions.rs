//! Conditions from findings: a transition time moves only when the condition's status does.

use std::fmt;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use crate::redact;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    Unknown,
}

impl Holds {
    fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "True",
            Self::No => "False",
            Self::Unknown => "Unknown",
        }
    }

    pub(super) fn of(condition: &Condition) -> Self {
        match condition.status.as_str() {
            "True" => Self::Yes,
            "False" => Self::No,
            _ => Self::Unknown,
        }
    }
}

/// A condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding<T> {
    /// Such as `Available`.
    pub(super) type_: T,
    pub(super) holds: Holds,
    /// One CamelCase word that stays the same.
    pub(super) reason: String,
    /// A sentence for people: what, where, what to do.
    pub(super) message: String,
}

/// What is said already of a type of condition.
pub(super) fn found<T: fmt::Display>(conditions: &[Condition], type_: T) -> Option<Finding<T>> {
    let name = type_.to_string();
    let condition = conditions.iter().find(|condition| condition.type_ == name)?;
    Some(Finding {
        type_,
        holds: Holds::of(condition),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    })
}

pub(super) fn merge<T: fmt::Display>(
    before: &[Condition],
    findings: Vec<Finding<T>>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    // Seconds are what the API server stores: with more, the next comparison would differ.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let dated = findings.into_iter().map(|finding| {
        let type_ = finding.type_.to_string();
        let is_same =
            |condition: &&Condition| condition.type_ == type_ && condition.status == finding.holds.as_str();
        let known = before.iter().find(is_same);
        let last_transition_time =
            known.map_or(Time(now), |condition| condition.last_transition_time.clone());
        Condition {
            type_,
            status: finding.holds.as_str().to_owned(),
            reason: finding.reason,
            // Part of it may be what a downstream or a container said.
            message: redact::shown(&finding.message),
            observed_generation: generation,
            last_transition_time,
        }
    });
    dated.collect()
}
