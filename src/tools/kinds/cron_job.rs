//! CronJobs.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, age};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CronJob {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    schedule: String,
    suspend: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    active: Vec<serde::de::IgnoredAny>,
    last_schedule_time: Option<Timestamp>,
    last_successful_time: Option<Timestamp>,
}

impl Shape for CronJob {
    const COLUMNS: &'static [&'static str] = &["SCHEDULE", "ACTIVE", "LAST", "LAST-SUCCESS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, facts: &Facts) -> Health {
        let Status { active, last_schedule_time, last_successful_time } = &self.status;
        if self.spec.suspend {
            return Health { why: "suspended".to_owned(), ..Health::unknown() };
        }
        // A run that is over and has left no later success has failed.
        let failed = last_schedule_time.is_some_and(|last| {
            active.is_empty() && last_successful_time.is_none_or(|success| success < last)
        });
        if failed {
            let last = age(*last_schedule_time, facts.now);
            return Health::warning(format!("the run of {last} ago did not succeed"));
        }
        Health::healthy()
    }

    fn cells(&self, facts: &Facts) -> Vec<String> {
        vec![
            self.spec.schedule.clone(),
            self.status.active.len().to_string(),
            age(self.status.last_schedule_time, facts.now),
            age(self.status.last_successful_time, facts.now),
        ]
    }
}
