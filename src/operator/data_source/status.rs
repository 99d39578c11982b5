//! The status of a source from what was found. A transition time moves only when the condition's status does.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::{
    outcome::{Finding, Outcome, Reason},
    phase::Course,
    target::InvalidSource,
};
use crate::{
    api::{
        DataSource, DataSourceStatus,
        data_source::{DataSourceCondition, DataSourcePhase},
    },
    redact,
};

/// What one look at a source gave.
pub(crate) struct Look<'a> {
    pub checked: Checked<'a>,
    /// The spec has credentials that the operator may not read.
    pub not_readable: bool,
    /// What the ExternalSecret says; None: no credential is external.
    pub synced: Option<Synced>,
}

pub(crate) enum Checked<'a> {
    Invalid(&'a InvalidSource),
    /// The installation does not allow it: which rules it breaks.
    Refused(&'a str),
    /// Its external values are under way.
    Waiting,
    Yes {
        course: Course,
        outcome: &'a Outcome,
    },
}

/// How far an ExternalSecret has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synced {
    pub yes: bool,
    pub reason: &'static str,
    pub message: String,
}

pub(crate) fn assess(source: &DataSource, look: &Look<'_>, now: Timestamp) -> DataSourceStatus {
    // Seconds are what the API server stores.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let before = source.status.as_ref();
    let (phase, last_checked, message) = match &look.checked {
        Checked::Invalid(why) => {
            let last = before.and_then(|before| before.last_checked.clone());
            (DataSourcePhase::Failed, last, sentence(&why.to_string()))
        }
        Checked::Refused(why) => {
            let last = before.and_then(|before| before.last_checked.clone());
            (DataSourcePhase::Failed, last, (*why).to_owned())
        }
        Checked::Waiting => {
            let last = before.and_then(|before| before.last_checked.clone());
            let why = look.synced.as_ref().map(|synced| synced.message.clone()).unwrap_or_default();
            (DataSourcePhase::Pending, last, why)
        }
        Checked::Yes { course, outcome } => {
            (course.phase.unwrap_or(DataSourcePhase::Pending), Some(Time(now)), said(outcome, *course))
        }
    };
    let message = redact::shown(&message);
    let conditions = conditions(look, &message).into_iter().map(|(type_, holds, reason, message)| {
        let known = before.iter().flat_map(|before| &before.conditions);
        let mut known = known.filter(|known| known.type_ == type_.as_str() && known.status == word(holds));
        Condition {
            type_: type_.to_string(),
            status: word(holds).to_owned(),
            reason: reason.to_owned(),
            message: redact::shown(&message),
            observed_generation: source.metadata.generation,
            last_transition_time: known.next().map_or(Time(now), |known| known.last_transition_time.clone()),
        }
    });
    DataSourceStatus {
        observed_generation: source.metadata.generation,
        phase: Some(phase),
        last_checked,
        conditions: conditions.collect(),
        message: Some(message),
    }
}

const VALID: &str = "The spec can be acted on.";

type Row = (DataSourceCondition, bool, &'static str, String);

fn conditions(look: &Look<'_>, message: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    match &look.checked {
        Checked::Invalid(_) | Checked::Refused(_) => {
            let reason = match &look.checked {
                Checked::Refused(_) => "PolicyViolated",
                _ => "InvalidSpec",
            };
            rows.push((DataSourceCondition::Accepted, false, reason, message.to_owned()));
            let unchecked = "It is not checked before its spec is corrected.";
            rows.push((
                DataSourceCondition::Connected,
                false,
                Reason::NotChecked.as_str(),
                unchecked.to_owned(),
            ));
        }
        Checked::Waiting => {
            rows.push((DataSourceCondition::Accepted, true, "Valid", VALID.to_owned()));
            let reason = Reason::NotChecked.as_str();
            rows.push((DataSourceCondition::Connected, false, reason, message.to_owned()));
        }
        Checked::Yes { outcome, .. } => {
            rows.push((DataSourceCondition::Accepted, true, "Valid", VALID.to_owned()));
            let (holds, reason) = match outcome {
                Outcome::In(_) => (true, Reason::Connected),
                Outcome::Partly(finding) | Outcome::Away(finding) | Outcome::Refused(finding) => {
                    // Slow is in.
                    (finding.reason == Reason::Slow, finding.reason)
                }
            };
            rows.push((DataSourceCondition::Connected, holds, reason.as_str(), message.to_owned()));
        }
    }
    if let Some(Synced { yes, reason, message }) = &look.synced {
        rows.push((DataSourceCondition::SecretsSynced, *yes, reason, message.clone()));
    }
    if look.not_readable {
        let what = "Checks go without the credentials, since pilothouse may not read Secrets in this namespace: \
                    bind the ClusterRole pilothouse-secrets here to its service account.";
        rows.push((DataSourceCondition::SecretsNotReadable, true, "RoleNotBound", what.to_owned()));
    }
    rows
}

/// The same sentence while the same is found, whatever number of times.
fn said(outcome: &Outcome, course: Course) -> String {
    match outcome {
        Outcome::In(what) => sentence(&format!("{what} let us in")),
        Outcome::Away(Finding { message, .. }) if course.phase == Some(DataSourcePhase::Degraded) => {
            format!("{message} It answered before; it is tried again before it counts as failed.")
        }
        Outcome::Partly(Finding { message, .. })
        | Outcome::Away(Finding { message, .. })
        | Outcome::Refused(Finding { message, .. }) => message.clone(),
    }
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn word(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::jiff::Timestamp;

    use super::{Checked, Look, assess};
    use crate::{
        api::{DataSource, data_source::DataSourcePhase},
        operator::data_source::{
            outcome::{Outcome, Reason},
            phase::Course,
        },
    };

    fn source() -> DataSource {
        let spec = serde_saphyr::from_str("{type: database, endpoint: 'postgresql://db/orders'}").unwrap();
        let mut source = DataSource::new("orders", spec);
        source.metadata.generation = Some(2);
        source
    }

    fn look(source: &DataSource, outcome: &Outcome, seconds: i64) -> DataSource {
        let course = Course::resumed(source.status.as_ref().and_then(|status| status.phase)).after(outcome);
        let look = Look { checked: Checked::Yes { course, outcome }, not_readable: true, synced: None };
        let mut source = source.clone();
        source.status = Some(assess(&source, &look, Timestamp::from_second(seconds).unwrap()));
        source
    }

    #[test]
    fn what_the_installation_does_not_allow_is_not_checked() {
        let look =
            Look { checked: Checked::Refused("spec.a: Forbidden: no"), not_readable: false, synced: None };
        let status = assess(&source(), &look, Timestamp::from_second(100).unwrap());
        assert_eq!((status.phase, status.last_checked), (Some(DataSourcePhase::Failed), None));
        let accepted = &status.conditions[0];
        assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "PolicyViolated"));
        assert_eq!(accepted.message, "spec.a: Forbidden: no");
    }

    #[test]
    fn a_status_tells_what_was_found_and_when() {
        let here = look(&source(), &Outcome::In("PostgreSQL 15.6".to_owned()), 100);
        let status = here.status.clone().unwrap();
        assert_eq!(status.phase, Some(DataSourcePhase::Connected));
        assert_eq!(status.message.as_deref(), Some("PostgreSQL 15.6 let us in."));
        assert_eq!(status.observed_generation, Some(2));
        let words: Vec<String> = status
            .conditions
            .iter()
            .map(|condition| format!("{} {} {}", condition.type_, condition.status, condition.reason))
            .collect();
        assert_eq!(
            words,
            ["Accepted True Valid", "Connected True Connected", "SecretsNotReadable True RoleNotBound"]
        );
    }

    #[test]
    fn transition_times_move_with_the_status_alone() {
        let away = Outcome::away(Reason::NotReachable, "db:5432: nobody is there.");
        let first = look(&source(), &Outcome::In("PostgreSQL".to_owned()), 100);
        let second = look(&first, &away, 200);
        let third = look(&second, &away, 300);
        let times = |source: &DataSource| {
            let status = source.status.clone().unwrap();
            let at = |index: usize| status.conditions[index].last_transition_time.0.as_second();
            (at(0), at(1), status.last_checked.unwrap().0.as_second())
        };
        assert_eq!(times(&second), (100, 200, 200));
        assert_eq!(times(&third), (100, 200, 300));
        let message = second.status.unwrap().message.unwrap();
        assert!(message.contains("nobody is there. It answered before"), "{message}");
    }
}
