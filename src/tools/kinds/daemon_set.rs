//! DaemonSets.

use serde::Deserialize;

use super::{Facts, Health, Meta, Shape};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DaemonSet {
    metadata: Meta,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    desired_number_scheduled: u32,
    number_ready: u32,
    updated_number_scheduled: u32,
    number_misscheduled: u32,
}

impl Shape for DaemonSet {
    const COLUMNS: &'static [&'static str] = &["READY", "UP-TO-DATE"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let Status {
            desired_number_scheduled: desired,
            number_ready,
            updated_number_scheduled,
            number_misscheduled,
        } = &self.status;
        if *desired > 0 && *number_ready == 0 {
            return Health::broken(format!("0/{desired} ready"));
        }
        if number_ready < desired {
            return Health::warning(format!("{number_ready}/{desired} ready"));
        }
        if updated_number_scheduled < desired {
            return Health::warning(format!("rolling out: {updated_number_scheduled}/{desired} updated"));
        }
        if *number_misscheduled > 0 {
            return Health::warning(format!("{number_misscheduled} on nodes where it should not run"));
        }
        Health::healthy()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let Status { desired_number_scheduled: desired, number_ready, updated_number_scheduled, .. } =
            &self.status;
        vec![format!("{number_ready}/{desired}"), updated_number_scheduled.to_string()]
    }
}
